/**
 * The command line: names, flags and help texts. Commands themselves are loaded when one is chosen, so that `--help` and
 * a mistyped flag answer at once.
 */
import { existsSync, readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { EXIT, EXIT_CODES_HELP } from './exit-codes.ts';
import type { Context } from './session.ts';
import type { Surroundings } from './terminal.ts';
import { wantsColor } from './terminal.ts';

/** The families of commands; each is loaded when one of its commands is chosen. */
const choose = () => import('./commands/choose.ts');
const kept = () => import('./commands/kept.ts');
const look = () => import('./commands/look.ts');
const start = () => import('./commands/start.ts');
const sweep = () => import('./commands/sweep.ts');
const tell = () => import('./commands/tell.ts');

/** Runs one command line (without node and script). Resolves to the exit code; never rejects for what a user can cause. */
export async function main(args: readonly string[], world: Surroundings): Promise<number> {
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  process.once('SIGHUP', onSignal);
  const context: Context = { world, signal: interrupt.signal };
  let exitCode: number = EXIT.done;
  const program = build(world, context, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    // Help and version end as CommanderError with code 0, after printing.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    const { sayError } = await import('./session.ts');
    return sayError(world, looseFlags(args), error);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    process.off('SIGHUP', onSignal);
  }
}

function build(world: Surroundings, context: Context, ended: (exitCode: number) => void): Command {
  const { self } = world;
  const program = new Command('ecs-rollback')
    .description(
      'Roll an Alibaba Cloud ECS disk back to a snapshot, and bring the good newer data back from a safety snapshot.',
    )
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError(`(\`${self} --help\` lists commands and flags)`)
    .configureOutput({
      writeOut: (text) => void world.stdout.write(text),
      writeErr: (text) => void world.stderr.write(text),
      getOutHasColors: () => wantsColor(world.stdout, world.env, true),
      getErrHasColors: () => wantsColor(world.stderr, world.env, true),
      getOutHelpWidth: () => world.stdout.columns ?? 100,
      getErrHelpWidth: () => world.stderr.columns ?? 100,
    })
    .addHelpText(
      'after',
      `
The usual order:
  ${self} plan   --region cn-hangzhou --disk d-… --snapshot s-…
  ${self} start  --region cn-hangzhou --disk d-… --snapshot s-… --path /data/uploads
  ${self} status d-…

When it waits for somebody, \`status\` says for whom, and what to type.

${EXIT_CODES_HELP}

Environment: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE and Temporal's other variables; ALIBABA_CLOUD_REGION_ID;
NO_COLOR, FORCE_COLOR; ECS_ROLLBACK_DEBUG=1 shows where an error comes from. Cloud credentials belong to the worker.`,
    );

  const command = (name: string, description: string, examples: readonly string[]): Command => {
    const made = program
      .command(name)
      .description(description)
      .addHelpText('after', `\nExamples:\n${examples.map((example) => `  ${self} ${example}`).join('\n')}`)
      .addOption(new Option('-o, --output <format>', 'what stdout carries').choices(['text', 'json']).default('text'))
      .option('--no-color', 'no colours (also NO_COLOR)')
      .option('--address <host:port>', 'Temporal server (also TEMPORAL_ADDRESS)')
      .option('-n, --namespace <name>', 'Temporal namespace (also TEMPORAL_NAMESPACE)')
      .option('--profile <name>', 'profile of temporal.toml (also TEMPORAL_PROFILE)')
      .option('--task-queue <name>', 'task queue the worker polls (also ECS_ROLLBACK_TASK_QUEUE)');
    return made.exitOverride();
  };
  const run = <M, F>(
    family: () => Promise<M>,
    action: (commands: M, flags: F, ...operands: string[]) => Promise<number>,
  ) =>
    async function act(...given: unknown[]): Promise<void> {
      // Commander hands over the operands, then the flags, then the command itself.
      const operands = given.slice(0, -2).map((operand) => (typeof operand === 'string' ? operand : ''));
      ended(await action(await family(), given.at(-2) as F, ...operands));
    };

  policyFlags(
    targetFlags(
      command('plan', 'Read everything, report every blocker and what would be lost. Changes nothing.', [
        'plan --region cn-hangzhou --disk d-bp1… --snapshot s-bp1… --path /data/uploads',
        'plan --disk d-bp1… --snapshot s-bp1… -o json > plan.json      # for `start --plan plan.json`',
      ]),
    ),
  )
    .option('--timeout <duration>', 'give up after this long (90s, 2m; default and most: 5m)')
    .option('--workflow-id <id>', 'id of the plan (default: made up)')
    .action(run(start, (commands, flags: FlagsOf<StartModule['runPlan']>) => commands.runPlan(context, flags)));

  waitFlags(
    policyFlags(
      targetFlags(
        command('start', 'Plan, ask, roll the disk back, bring data back, wait for the end.', [
          'start --region cn-hangzhou --disk d-bp1… --snapshot s-bp1… --path /data/uploads',
          'start --plan plan.json                                         # what was planned, or nothing',
          'start --disk d-bp1… --snapshot s-bp1… --approvals 2 --no-self-approval --detach',
          'start --disk d-bp1… --snapshot s-bp1… --yes -o json --on-failure undo   # from a runbook',
          'start --disk d-bp1… --snapshot s-bp1… --yes --detach           # prints the id and returns',
        ]).alias('rollback'),
      ),
    ).option(
      '--plan <file>',
      'start what this file of `plan -o json` says; refused when the world has drifted from it',
    ),
  ).action(run(start, (commands, flags: FlagsOf<StartModule['runStart']>) => commands.runStart(context, flags)));

  waitFlags(
    givenFlags(
      syncFlags(
        sourceFlags(
          command('sync', 'Bring data back from a snapshot of the disk, without rolling it back.', [
            'sync --region cn-hangzhou --disk d-bp1… --snapshot s-bp1… --path /data/uploads --conflict keep-live',
          ]),
        ),
      ),
    ),
  ).action(run(start, (commands, flags: FlagsOf<StartModule['runSync']>) => commands.runSync(context, flags)));

  waitFlags(
    policyFlags(
      command('undo', 'Roll the disk back onto snapshot B of a run that has ended: as it was before the run.', [
        'undo d-bp1…                       # the last run of the disk',
        'undo rollback-d-bp1… --accept-data-loss --yes -o json',
      ])
        .argument('<run-or-disk>', 'workflow id, or disk id')
        .option('--power <state>', 'running, stopped or as-found (default: as before the run that is undone)'),
    ),
  ).action(
    run(start, (commands, flags: FlagsOf<StartModule['runUndo']>, id = '') => commands.runUndo(context, flags, id)),
  );

  command('status', 'What a run is doing, whether the reset has happened, and what a cancel would do now.', [
    'status d-bp1…            # by disk: its open run, else its last one',
    'status rollback-d-bp1… -o json',
  ])
    .argument('<run-or-disk>', 'workflow id, or disk id')
    .action(
      run(look, (commands, flags: FlagsOf<LookModule['runStatus']>, id = '') => commands.runStatus(context, flags, id)),
    );

  command('watch', 'Follow a run to its end. The exit code is its outcome.', [
    'watch d-bp1…',
    'watch rollback-d-bp1… -o json      # JSON lines: status, needs-operator, needs-approval, then summary',
  ])
    .argument('<run-or-disk>', 'workflow id, or disk id')
    .option('--timeout <duration>', 'stop waiting after this long (30m, 1h30m); the run continues')
    .action(
      run(look, (commands, flags: FlagsOf<LookModule['runWatch']>, id = '') => commands.runWatch(context, flags, id)),
    );

  command('list', 'The runs there are, newest first, and what waits for somebody.', [
    'list --running',
    'list --disk d-bp1… -o json',
  ])
    .option('--disk <id>', 'of this disk only')
    .option('--running', 'open runs only')
    .option('--all', 'plans too')
    .option('--limit <number>', 'at most this many', '20')
    .action(run(look, (commands, flags: FlagsOf<LookModule['runList']>) => commands.runList(context, flags)));

  hashFlags(
    tellFlags(
      command('approve', 'Let a run that waits for approval pass, after showing what it would do.', [
        "approve d-bp1… --reason 'INC-42, checked with the owner'",
        "approve rollback-d-bp1… --plan plan.json --yes --reason 'INC-42'      # the plan that was read, or nothing",
      ]),
      'why; the history keeps it (required)',
    ),
  )
    .option('-y, --yes', 'do not show and ask; needs --plan-hash or --plan')
    .action(
      run(tell, (commands, flags: FlagsOf<TellModule['runApprove']>, id = '') =>
        commands.runApprove(context, flags, id),
      ),
    );

  hashFlags(
    tellFlags(
      command('reject', 'End a run that waits for approval. Nothing has been changed.', [
        "reject d-bp1… --reason 'wrong snapshot'",
      ]),
      'why; the history keeps it (required)',
    ),
  ).action(
    run(tell, (commands, flags: FlagsOf<TellModule['runReject']>, id = '') => commands.runReject(context, flags, id)),
  );

  tellFlags(
    command('resolve', 'Decide for a run that needs an operator. `status` lists what it can do now.', [
      "resolve d-bp1… retry --reason 'bought the capacity'",
      "resolve d-bp1… skip --reason 'started it in the console'      # believed only if that is observed",
      "resolve d-bp1… undo --reason 'A is worse than what we had'",
    ]),
    'why; the history keeps it (required)',
  )
    .argument('<decision>', 'retry, skip, undo, abort, force, delete or keep')
    .action(
      run(tell, (commands, flags: FlagsOf<TellModule['runResolve']>, id = '', decision = '') =>
        commands.runResolve(context, flags, id, decision),
      ),
    );

  tellFlags(
    command('pause', 'Let a run stand still at its next safe point.', [
      "pause d-bp1… --reason 'database team looks first'",
    ]),
    'why; the history keeps it',
  ).action(
    run(tell, (commands, flags: FlagsOf<TellModule['runPause']>, id = '') => commands.runPause(context, flags, id)),
  );

  tellFlags(command('resume', 'Let a paused run go on.', ['resume d-bp1…']), 'why; the history keeps it').action(
    run(tell, (commands, flags: FlagsOf<TellModule['runResume']>, id = '') => commands.runResume(context, flags, id)),
  );

  const lookCommand = (name: string, description: string, example: string) =>
    command(name, description, [example])
      .argument('<run-or-disk>', 'workflow id, or disk id')
      .option('--after <entry>', 'go on after this one; a long answer says it');

  lookCommand('browse', 'What is in a folder of the copy, of a run that waits for a selection.', 'browse d-bp1… /data')
    .argument('[folder]', 'as the guest sees it (default: what the run was started for)')
    .action(
      run(choose, (commands, flags: FlagsOf<ChooseModule['runBrowse']>, id = '', path = '') =>
        commands.runBrowse(context, flags, id, path),
      ),
    );

  lookCommand('diff', 'What differs between the copy and what is live, by size and time.', 'diff d-bp1… /data/uploads')
    .argument('[folder]', 'as the guest sees it (default: what the run was started for)')
    .action(
      run(choose, (commands, flags: FlagsOf<ChooseModule['runDiff']>, id = '', path = '') =>
        commands.runDiff(context, flags, id, path),
      ),
    );

  lookCommand('find', 'Where something of a name is on the copy.', "find d-bp1… '*.sql' --below /data")
    .argument('<name>', 'with * ? [a-z] as find takes them; in quotes')
    .option('--below <folder>', 'as the guest sees it (default: what the run was started for)')
    .action(
      run(choose, (commands, flags: FlagsOf<ChooseModule['runFind']>, id = '', pattern = '') =>
        commands.runFind(context, flags, id, pattern),
      ),
    );

  tellFlags(
    command('select', 'Say what to bring back to a run that waits for it (started with --choose).', [
      "select d-bp1… --path /data/uploads --path /data/orders --reason 'INC-42'",
    ]),
    'why; the history keeps it (required)',
  )
    .option('--path <path>', 'bring this back, as the guest sees it; repeatable', repeatable)
    .option('--conflict <policy>', 'where a live file is in the way (default: as the run was started)')
    .action(
      run(choose, (commands, flags: FlagsOf<ChooseModule['runSelect']>, id = '') =>
        commands.runSelect(context, flags, id),
      ),
    );

  command('report', 'All that a run has found when it compared, path by path; of an ended run, too.', [
    'report d-bp1… --action keep,left      # what of B was not brought back',
    'report d-bp1… --verdict conflict --under /data/uploads -o json',
  ])
    .argument('<run-or-disk>', 'workflow id, or disk id')
    .option('--verdict <verdicts>', 'only with these, such as conflict,deleted-live')
    .option('--action <actions>', 'only what was done or left so: take, replace, keep, beside, delete, none, left')
    .option('--under <path>', 'only what is there or below, as the guest sees it')
    .option('--page <number>', 'of at most 100 paths (default: 1)')
    .action(
      run(kept, (commands, flags: FlagsOf<KeptModule['runReport']>, id = '') => commands.runReport(context, flags, id)),
    );

  const keptCommand = (name: string, description: string, examples: readonly string[]) =>
    command(name, description, examples)
      .argument('<run-or-disk>', 'workflow id, or disk id')
      .option('-y, --yes', 'do not show and ask')
      .option('--dry-run', 'only show what would be done');

  keptCommand('restore', 'Put back what a run has replaced or deleted when it brought data back.', [
    'restore d-bp1… --path /data/uploads/2026',
    'restore d-bp1… --dry-run',
  ])
    .option('--path <path>', 'only what is there or below, as the guest sees it')
    .action(
      run(kept, (commands, flags: FlagsOf<KeptModule['runRestore']>, id = '') =>
        commands.runRestore(context, flags, id),
      ),
    );

  keptCommand('close', 'Remove what a run keeps in the guest: what it has kept aside, and its report.', [
    'close d-bp1…                     # shows it first',
  ]).action(
    run(kept, (commands, flags: FlagsOf<KeptModule['runClose']>, id = '') => commands.runClose(context, flags, id)),
  );

  command('cancel', 'Ask a run to put things back and end. Says what that will mean.', ['cancel d-bp1…'])
    .argument('<run-or-disk>', 'workflow id, or disk id')
    .action(
      run(tell, (commands, flags: FlagsOf<TellModule['runCancel']>, id = '') => commands.runCancel(context, flags, id)),
    );

  command(
    'sweep',
    'What ended runs have left in a region. Shows it; deletes only with --delete what every rule lets go.',
    [
      'sweep --region cn-hangzhou',
      'sweep --region cn-hangzhou --delete --min-age 1h',
      'sweep --region cn-hangzhou --delete --every 6h      # by a schedule of Temporal; --every off removes it',
    ],
  )
    .option('--region <id>', 'region to look in (also ALIBABA_CLOUD_REGION_ID)')
    .option('--delete', 'delete what every rule lets go')
    .option('--release-attached', 'also unmount and detach what is still attached')
    .option('--min-age <duration>', 'leave what is younger (90m, 12h, 7d)')
    .option('--every <duration>', 'do this by a schedule, this often; off: no longer')
    .option('--timeout <duration>', 'stop waiting after this long; the sweep continues')
    .action(run(sweep, (commands, flags: FlagsOf<SweepModule['runSweep']>) => commands.runSweep(context, flags)));

  return program;
}

type ChooseModule = Awaited<ReturnType<typeof choose>>;
type KeptModule = Awaited<ReturnType<typeof kept>>;
type LookModule = Awaited<ReturnType<typeof look>>;
type StartModule = Awaited<ReturnType<typeof start>>;
type SweepModule = Awaited<ReturnType<typeof sweep>>;
type TellModule = Awaited<ReturnType<typeof tell>>;
type FlagsOf<Action> = Action extends (context: Context, flags: infer F, ...rest: never[]) => unknown ? F : never;

// Required flags are not commander's: it would name one per try, the request's own check names all at once.
function sourceFlags(command: Command): Command {
  return command
    .option('--region <id>', 'region of the disk (also ALIBABA_CLOUD_REGION_ID)')
    .option('--disk <id>', 'the disk (required)')
    .option('--snapshot <id>', 'the snapshot of this very disk (required)')
    .option('--instance <id>', 'refuse unless the disk is attached to this instance');
}

/** Collects what a flag is given, each time it is given. */
const repeatable = (value: string, given?: string[]) => [...(given ?? []), value];

function syncFlags(command: Command): Command {
  return command
    .option('--path <path>', 'bring this back, as the guest sees it; repeatable', repeatable)
    .option('--files-from <file>', 'bring back what this file lists, one path a line, or with NUL after each')
    .option('--include <pattern>', 'below the paths only files like this, such as *.jpg; repeatable', repeatable)
    .option(
      '--exclude <pattern>',
      'leave out what is like this, folders whole; goes over --include; repeatable',
      repeatable,
    )
    .option(
      '--conflict <policy>',
      'newer-wins (default), keep-live, take-b or both: what to do where a live file is in the way',
    )
    .option('--without-serial', 'tell a disk without a serial number apart by comparing before and after the attach')
    .option('--into <folder>', 'bring the paths back below this folder, not to where they were')
    .option('--choose', 'wait with the copy mounted until `select` says what of the paths to bring back')
    .option('--max-rate <mib>', 'copy and verify at most so many MiB per second')
    .option(
      '--io-class <class>',
      "idle (default) or best-effort: the copy's share of the guest's disks, as ionice has it",
    )
    .option(
      '--open-files <what>',
      'when a process writes to a selected live file as the copy begins: warn (default), refuse or ignore',
    )
    .option(
      '--since-a',
      'only what is new or has changed from A to B, whatever the policy; without --path, of all of the disk',
    )
    .option(
      '--delete',
      'delete below the paths what was deleted from A to B, unless it has changed since the reset; shows it first, and waits for `resolve`',
    )
    .option('--delete-unseen', 'with --delete: do not show it first, and wait for nobody');
}

function targetFlags(command: Command): Command {
  return syncFlags(sourceFlags(command)).option(
    '--power <state>',
    'as-found (default), running or stopped: the instance at the end',
  );
}

/** How a rollback is done, and who decides: of `start` and `undo`, and of `plan`, which is to find what they would find. */
function policyFlags(command: Command): Command {
  return givenFlags(command)
    .option('--force-stop', 'cut the power if a graceful stop does not end; unflushed data is lost')
    .option(
      '--mode <mode>',
      'cold (default): stop, then snapshot B; warm: less downtime; hot: B first, and loses a bit',
    )
    .option('--freeze', 'with warm or hot: freeze the file systems for the moment of the snapshot')
    .option('--retention-days <days>', 'how long the cloud keeps snapshot B (default: 30)')
    .option('--lock-days <days>', 'lock snapshot B this long, so that nobody can delete it')
    .option('--approvals <number>', 'wait before the first change until so many people approve')
    .option('--no-self-approval', 'whoever asks cannot approve; with --approvals')
    .option('--approval-timeout <duration>', 'refused after this long without enough approvals (default: 24h)')
    .option('--remind-every <duration>', 'a reminder this often while it waits for approval (default: 1h)')
    .option('--on-failure <what>', 'after the reset: ask (default; waits for `resolve`), abort or undo')
    .option('--accept-data-loss', 'let an undo lose what was written since the instance was started again');
}

function givenFlags(command: Command): Command {
  return command
    .option(
      '--hook <point=file>',
      'run this executable of the guest at beforeStop, afterStart, beforeCopy, afterCopy or healthCheck; repeatable; POINT={"command":…,"args":…,"user":…,"timeoutSeconds":…,"onFailure":…} for more',
      repeatable,
    )
    .option('--on-lease <what>', 'while another run works on the instance: fail (default) or wait')
    .option('--requested-by <name>', 'who asks, for the history (default: you@this-host)');
}

function tellFlags(command: Command, reason: string): Command {
  return command
    .argument('<run-or-disk>', 'workflow id, or disk id')
    .option('--reason <text>', reason)
    .option('--by <name>', 'who says it, for the history (default: you@this-host)');
}

function hashFlags(command: Command): Command {
  return command
    .option('--plan-hash <hash>', 'only if it waits with this plan (default: the plan it waits with)')
    .option('--plan <file>', 'only if it waits with the plan in this file of `plan -o json`');
}

function waitFlags(command: Command): Command {
  return command
    .option('-y, --yes', 'do not ask for confirmation')
    .option('--dry-run', 'plan only')
    .option('--detach', 'do not wait for the end')
    .option('--timeout <duration>', 'stop waiting after this long (30m, 1h30m); the run continues')
    .option(
      '--workflow-id <id>',
      'id of the run (default: made from the disk id, so that a disk has one run at a time)',
    );
}

/** The two flags that decide how an error is shown, also when the rest of the line could not be parsed. */
function looseFlags(args: readonly string[]): { output?: string; color?: boolean } {
  const json = args.some(
    (arg, index) =>
      arg === '--output=json' ||
      arg === '-ojson' ||
      ((arg === '-o' || arg === '--output') && args[index + 1] === 'json'),
  );
  return { ...(json ? { output: 'json' } : {}), color: !args.includes('--no-color') };
}

function version(): string {
  // Two levels up from src/cli, three from dist/src/cli.
  for (const path of ['../../package.json', '../../../package.json']) {
    const url = new URL(path, import.meta.url);
    if (!existsSync(url)) continue;
    const { version } = JSON.parse(readFileSync(url, 'utf8')) as { version?: string };
    if (version !== undefined) return version;
  }
  return 'unknown';
}
