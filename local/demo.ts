/**
 * `npm run demo`: the whole story, once, for real, on a stack of its own. Progress goes to stderr; stdout carries a short
 * summary, or with `--json` exactly one JSON document. Exit code 0 only when every claim is proven.
 */
import { parseArgs } from 'node:util';
import { interruption } from './interruption.ts';
import { describeStack, oneOf, type Stack, startStack, untilStopped } from './stack.ts';
import { type DemoDocument, tellStory } from './story.ts';
import { type Log, TemporalBinaryMissing } from './temporal-cli.ts';

const usage = `Usage: npm run demo -- [options]

Brings up Temporal, an ECS simulator with a real guest, and a worker; ruins data on a disk, recovers it, and proves it.

  --json        one JSON document on stdout, and nothing else there
  --keep        leave the stack up afterwards, to look around in, until Ctrl-C
  --fs TYPE     file system of the data disk: ext4 (default) or xfs
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
  let stack: Stack | undefined;
  try {
    log('bringing up Temporal, the ECS simulator with its guest, and the worker …');
    stack = await startStack({ log, fs: flags.fs, signal });
    const up = (Date.now() - started) / 1000;
    const told = await tellStory(stack, { log, signal });
    const document: DemoDocument = {
      ...told,
      timings: { stackUp: up, ...told.timings, total: (Date.now() - started) / 1000 },
    };
    if (!flags.keep) {
      log('stopping everything …');
      await stack.stop();
    }
    console.log(flags.json ? JSON.stringify(document, null, 2) : summary(document));
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
    log(error instanceof Error ? error.message : String(error));
    if (process.env['ECS_ROLLBACK_DEBUG'] && error instanceof Error) console.error(error.stack);
    if (stack) for (const line of await stack.processes.lastWords()) console.error(line);
    await stack?.stop();
    return error instanceof TemporalBinaryMissing ? EXIT.noTemporal : EXIT.failed;
  }
}

function readFlags(args: string[]): { json: boolean; keep: boolean; help: boolean; fs: 'ext4' | 'xfs' } {
  const { values } = parseArgs({
    args,
    options: {
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      fs: { type: 'string', default: 'ext4' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  return { ...values, fs: oneOf('--fs', values.fs, ['ext4', 'xfs']) };
}

/** What happened, for a person who has two minutes. */
function summary(demo: DemoDocument): string {
  const { checksums, timings } = demo;
  const step = ({ number, title, startedAt = '', endedAt = '', outcome }: DemoDocument['steps'][number]): string => {
    const seconds = (Date.parse(endedAt) - Date.parse(startedAt)) / 1000;
    return `  ${number}  ${title.padEnd(46)} ${outcome.padEnd(8)} ${Number.isFinite(seconds) ? `${seconds.toFixed(1).padStart(5)} s` : ''}`;
  };
  return [
    '',
    `${demo.verified ? 'Recovered and proven' : 'NOT PROVEN'}: disk ${demo.diskId} of ${demo.instanceId} (${demo.fileSystem}), rolled back to ${demo.snapshotA}`,
    `Kept as the undo: snapshot ${demo.snapshotB}`,
    '',
    ...demo.steps.map(step),
    '',
    'Checksum of the whole shop (content, owners, modes, times, links, holes, attributes)',
    `  at snapshot A     ${checksums.atSnapshotA}`,
    `  before the damage ${checksums.beforeDamage}`,
    `  after the damage  ${checksums.afterDamage}`,
    `  after rollback    ${checksums.afterRollback}`,
    `  after sync        ${checksums.afterSync}`,
    '',
    ...demo.claims.map(({ claim, holds }) => `  ${holds ? '✔' : '✖'} ${claim}`),
    ...demo.leftovers.map((line) => `    left over: ${line}`),
    '',
    `Run in the Temporal UI: ${demo.temporalUi}`,
    `Time: ${Object.entries(timings)
      .map(([name, value]) => `${name} ${value.toFixed(1)} s`)
      .join(', ')}`,
  ].join('\n');
}

process.exitCode = await main(process.argv.slice(2));
