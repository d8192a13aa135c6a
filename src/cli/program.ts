/**
 * The command line: names, flags and help texts. Commands themselves are loaded when one is chosen, so that `--help` and
 * a mistyped flag answer at once.
 */
import { existsSync, readFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import type * as commands from './commands.ts';
import { EXIT, EXIT_CODES_HELP } from './exit-codes.ts';
import type { Surroundings } from './terminal.ts';
import { wantsColor } from './terminal.ts';

type Commands = typeof commands;
type Flags<Run extends keyof Commands> = Commands[Run] extends (
  context: commands.Context,
  flags: infer F,
  ...rest: never[]
) => unknown
  ? F
  : never;

/** Runs one command line (without node and script). Resolves to the exit code; never rejects for what a user can cause. */
export async function main(args: readonly string[], world: Surroundings): Promise<number> {
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort();
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  process.once('SIGHUP', onSignal);
  const context: commands.Context = { world, signal: interrupt.signal };
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
    const { sayError } = await import('./commands.ts');
    return sayError(world, looseFlags(args), error);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    process.off('SIGHUP', onSignal);
  }
}

function build(world: Surroundings, context: commands.Context, ended: (exitCode: number) => void): Command {
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
  const run = <F>(action: (commands: Commands, flags: F, id: string) => Promise<number>, takesId = false) =>
    async function act(...given: unknown[]): Promise<void> {
      const [id, flags] = takesId ? [String(given[0]), given[1]] : ['', given[0]];
      ended(await action(await import('./commands.ts'), flags as F, id));
    };

  targetFlags(
    command('plan', 'Read everything, report every blocker and what would be lost. Changes nothing.', [
      'plan --region cn-hangzhou --disk d-bp1… --snapshot s-bp1… --path /data/uploads',
      'plan --disk d-bp1… --snapshot s-bp1… -o json > plan.json',
    ]),
  )
    .option('--timeout <duration>', 'give up after this long (90s, 2m; default and most: 5m)')
    .option('--workflow-id <id>', 'id of the plan (default: made up)')
    .action(run<Flags<'runPlan'>>((commands, flags) => commands.runPlan(context, flags)));

  waitFlags(
    targetFlags(
      command('start', 'Plan, ask, roll the disk back, bring data back, wait for the end.', [
        'start --region cn-hangzhou --disk d-bp1… --snapshot s-bp1… --path /data/uploads',
        'start --disk d-bp1… --snapshot s-bp1… --yes -o json      # from a runbook',
        'start --plan plan.json --yes                             # what `plan -o json` wrote, unless the world has drifted',
        'start --disk d-bp1… --snapshot s-bp1… --yes --detach     # prints the id and returns',
      ]).alias('rollback'),
    ),
  )
    .option('--plan <file>', 'start what this file of `plan -o json` says; refused when the world has drifted from it')
    .action(run<Flags<'runStart'>>((commands, flags) => commands.runStart(context, flags)));

  waitFlags(
    syncFlags(
      sourceFlags(
        command('sync', 'Bring data back from a snapshot of the disk, without rolling it back.', [
          'sync --region cn-hangzhou --disk d-bp1… --snapshot s-bp1… --path /data/uploads --conflict keep-live',
        ]),
      ),
    ),
  ).action(run<Flags<'runSync'>>((commands, flags) => commands.runSync(context, flags)));

  command('status', 'What a run is doing, whether the reset has happened, and what a cancel would do now.', [
    'status d-bp1…            # by disk: its open run, else its last one',
    'status rollback-d-bp1… -o json',
  ])
    .argument('<run-or-disk>', 'workflow id, or disk id')
    .action(run<Flags<'runStatus'>>((commands, flags, id) => commands.runStatus(context, flags, id), true));

  command('watch', 'Follow a run to its end. The exit code is its outcome.', [
    'watch d-bp1…',
    'watch rollback-d-bp1… -o json      # JSON lines: status, then summary',
  ])
    .argument('<run-or-disk>', 'workflow id, or disk id')
    .option('--timeout <duration>', 'stop waiting after this long (30m, 1h30m); the run continues')
    .action(run<Flags<'runWatch'>>((commands, flags, id) => commands.runWatch(context, flags, id), true));

  command('list', 'The runs there are, newest first.', ['list --running', 'list --disk d-bp1… -o json'])
    .option('--disk <id>', 'of this disk only')
    .option('--running', 'open runs only')
    .option('--all', 'plans too')
    .option('--limit <number>', 'at most this many', '20')
    .action(run<Flags<'runList'>>((commands, flags) => commands.runList(context, flags)));

  command('cancel', 'Ask a run to put things back and end. Says what that will mean.', ['cancel d-bp1…'])
    .argument('<run-or-disk>', 'workflow id, or disk id')
    .action(run<Flags<'runCancel'>>((commands, flags, id) => commands.runCancel(context, flags, id), true));

  return program;
}

// Required flags are not commander's: it would name one per try, the request's own check names all at once.
function sourceFlags(command: Command): Command {
  return command
    .option('--region <id>', 'region of the disk (also ALIBABA_CLOUD_REGION_ID)')
    .option('--disk <id>', 'the disk (required)')
    .option('--snapshot <id>', 'the snapshot of this very disk (required)')
    .option('--instance <id>', 'refuse unless the disk is attached to this instance');
}

function syncFlags(command: Command): Command {
  return command
    .option('--path <path>', 'bring this back, as the guest sees it; repeatable', (path: string, paths?: string[]) => [
      ...(paths ?? []),
      path,
    ])
    .option(
      '--conflict <policy>',
      'newer-wins (default), keep-live or take-b: what to do where a live file is in the way',
    );
}

function targetFlags(command: Command): Command {
  return syncFlags(sourceFlags(command))
    .option('--power <state>', 'as-found (default), running or stopped: the instance at the end')
    .option('--force-stop', 'cut the power if a graceful stop does not end; unflushed data is lost')
    .option('--retention-days <days>', 'how long the cloud keeps snapshot B (default: 30)');
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
