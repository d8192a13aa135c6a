/**
 * `npm run demo`: a whole story, once, for real, on a stack of its own. Progress goes to stderr; stdout carries a short
 * summary, or with `--json` exactly one JSON document. Exit code 0 only when every claim is proven.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type DemoDocument, demoDocument, summary } from './demo-document.ts';
import { interruption } from './interruption.ts';
import { type ScenarioName, scenarioNames, scenarios } from './scenarios/index.ts';
import { describeStack, type FileSystem, oneOf, type Stack, startStack, untilStopped } from './stack.ts';
import { type Scenario, Story } from './story.ts';
import { type Log, TemporalBinaryMissing } from './temporal-cli.ts';

const usage = `Usage: npm run demo -- [options]

Brings up Temporal, an ECS simulator with a real guest, and a worker; ruins data on a disk, tells one story, and proves it.

  --scenario NAME     one of
${scenarioNames.map((name) => `      ${name.padEnd(12)}    ${scenarios[name].about}`).join('\n')}
  --json              one JSON document on stdout, and nothing else there
  --keep              leave the stack up afterwards, to look around in, until Ctrl-C
  --fs TYPE           file system of the data disk: ext4 (default), xfs, or lvm (ext4 on LVM)
  --data-plane KIND   vm: a virtual machine (default of recover); loop: loop devices of this host, much quicker, for root
                      on Linux only (default of the others where it runs)
  --help`;

const EXIT = { proven: 0, failed: 1, usage: 2, noTemporal: 7, interrupted: 130 } as const;

async function main(args: string[]): Promise<number> {
  const started = Date.now();
  const log: Log = (line) => console.error(`${((Date.now() - started) / 1000).toFixed(1).padStart(6)}  ${line}`);
  let flags;
  try {
    flags = readFlags(args);
  } catch (error) {
    console.error(
      `${error instanceof Error ? error.message.split('\n')[0] : String(error)} (--help lists all options)`,
    );
    return EXIT.usage;
  }
  if (flags.help) {
    console.log(usage);
    return EXIT.proven;
  }

  const signal = interruption(log);
  const scenario: Scenario = scenarios[flags.scenario];
  let stack: Stack | undefined;
  // A story that breaks off leaves no starter of its own waiting for an end.
  const ending = new AbortController();
  try {
    log(`${flags.scenario}: ${scenario.about}`);
    log('bringing up Temporal, the ECS simulator with its guest, and the worker …');
    const dataPlane = flags.dataPlane ?? (scenario.dataPlane === 'loop' && loopRunsHere() ? 'loop' : 'vm');
    const { packages = [], checksumsOver } = scenario;
    stack = await startStack({ log, fs: flags.fs, dataPlane, packages, signal });
    const up = (Date.now() - started) / 1000;
    const story = new Story(stack, { log, signal: AbortSignal.any([signal, ending.signal]) });
    const told = await scenario.tell(story);
    const timings = { stackUp: up, ...story.timings, total: (Date.now() - started) / 1000 };
    const document: DemoDocument = demoDocument(flags.scenario, stack, told, timings);
    if (!flags.keep) {
      log('stopping everything …');
      await stack.stop();
    }
    console.log(flags.json ? JSON.stringify(document, null, 2) : summary(document, checksumsOver));
    if (flags.keep) {
      console.error(`\n${describeStack(stack)}\n`);
      await untilStopped(stack, signal, log);
    }
    log(`done; everything is stopped and removed`);
    return document.verified ? EXIT.proven : EXIT.failed;
  } catch (error) {
    if (signal.aborted) {
      await stack?.stop();
      log('stopped; everything is removed');
      return EXIT.interrupted;
    }
    ending.abort();
    log(error instanceof Error ? error.message : String(error));
    if (process.env['ECS_ROLLBACK_DEBUG'] && error instanceof Error) console.error(error.stack);
    if (stack) for (const line of await stack.processes.lastWords()) console.error(line);
    await stack?.stop();
    return error instanceof TemporalBinaryMissing ? EXIT.noTemporal : EXIT.failed;
  }
}

interface Flags {
  readonly scenario: ScenarioName;
  readonly json: boolean;
  readonly keep: boolean;
  readonly help: boolean;
  readonly fs: FileSystem;
  /** Undefined: the story's own choice. */
  readonly dataPlane: 'vm' | 'loop' | undefined;
}

function readFlags(args: string[]): Flags {
  const { values } = parseArgs({
    args,
    options: {
      scenario: { type: 'string', default: 'recover' },
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      fs: { type: 'string', default: 'ext4' },
      'data-plane': { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const { scenario, fs, 'data-plane': dataPlane, ...rest } = values;
  return {
    ...rest,
    scenario: oneOf('--scenario', scenario, scenarioNames),
    fs: oneOf('--fs', fs, ['ext4', 'xfs', 'lvm']),
    dataPlane: dataPlane === undefined ? undefined : oneOf<'vm' | 'loop'>('--data-plane', dataPlane, ['vm', 'loop']),
  };
}

/** Root of a container may have neither loop devices nor the right to make a mount namespace. */
const loopRunsHere = (): boolean =>
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  existsSync('/dev/loop-control') &&
  spawnSync('unshare', ['--mount', 'true']).status === 0;

process.exitCode = await main(process.argv.slice(2));
