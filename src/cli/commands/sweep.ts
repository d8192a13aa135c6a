/** `sweep`: what ended runs have left in a region, by hand or by a schedule. */
import type { RollbackClient, SweepHandle, SweepView } from '../../client.ts';
import { FAILURE } from '../../contract/messages.ts';
import { type SweepInput, sweepInputSchema } from '../../contract/sweep.ts';
import { parseDuration } from '../durations.ts';
import { EXIT, type ExitCode, exitCodeOfFailureKind } from '../exit-codes.ts';
import { follow } from '../follow.ts';
import { type Typed, typedWith } from '../next-commands.ts';
import { timeoutMs } from '../request.ts';
import { type CommonFlags, type Context, json, line, sayFailure, withClient } from '../session.ts';
import { scheduleText, sweepText } from '../sweep-text.ts';
import { oneLine, styleFor } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';

export interface SweepFlags extends CommonFlags {
  readonly region?: string;
  readonly delete?: boolean;
  readonly releaseAttached?: boolean;
  readonly minAge?: string;
  readonly every?: string;
  readonly timeout?: string;
}

const YEAR_MS = 365 * 86_400_000;
const SHORTEST_INTERVAL_MS = 5 * 60_000;

export async function runSweep(context: Context, flags: SweepFlags): Promise<ExitCode> {
  const { world } = context;
  const input = sweepInput(flags, world.env);
  const every = interval(flags);
  const limit = timeoutMs(flags);
  return withClient(flags, async (client) => {
    if (every !== undefined) return setSchedule(context, flags, client, input, every);
    const handle = await client.sweeps.start(input);
    const style = styleFor(world.stderr, world, flags.color);
    if (flags.output === 'text') {
      const what = handle.alreadyRunning ? 'already sweeping: waiting for its end' : 'looking for what runs have left';
      world.stderr.write(`${line(style, `${what} in ${input.regionId} …`)}\n`);
    }
    return end(context, flags, client, await wait(context, flags, handle, limit), handle, input);
  });
}

/** Says once of each failure that is being tried again, so that a sweep that hangs says why. */
function wait({ world, signal }: Context, flags: SweepFlags, handle: SweepHandle, limit: number | undefined) {
  const style = styleFor(world.stderr, world, flags.color);
  let saidRetrying = '';
  return follow<SweepView>(() => handle.view(), {
    signal,
    timeoutMs: limit,
    intervalMs: Math.min(300, world.pollMs ?? 300),
    onView(view) {
      for (const attempt of view.retrying ?? []) {
        if (attempt.message === saidRetrying) continue;
        saidRetrying = attempt.message;
        world.stderr.write(`${line(style, `trying again: ${oneLine(attempt.message)}`)}\n`);
      }
    },
    onOutage: (error) => world.stderr.write(`${line(style, `${error.message}; trying again …`)}\n`),
  });
}

async function end(
  context: Context,
  flags: SweepFlags,
  client: RollbackClient,
  followed: Awaited<ReturnType<typeof wait>>,
  handle: SweepHandle,
  input: SweepInput,
): Promise<ExitCode> {
  const { world } = context;
  if (followed.how !== 'ended') {
    const exitCode = followed.how === 'timeout' ? EXIT.timeout : EXIT.interrupted;
    const why = followed.how === 'timeout' ? 'still going on' : 'stopped waiting';
    return sayFailure(context, flags, exitCode, followed.how, `${why}; the sweep ${handle.workflowId} continues`);
  }
  const { result, failure, execution } = followed.view;
  if (result === undefined) {
    const message = `the sweep ended as ${execution}: ${oneLine(failure?.message ?? 'no reason is known')}`;
    return sayFailure(context, flags, exitCodeOf(failure?.type), failure?.type ?? execution, message);
  }
  const schedule = await client.sweeps.scheduled(input.regionId);
  if (flags.output === 'json') {
    const { workflowId, runId, alreadyRunning } = handle;
    json(world.stdout, {
      command: 'sweep',
      workflowId,
      runId,
      alreadyRunning,
      exitCode: EXIT.done,
      ...result,
      ...(schedule === undefined ? {} : { schedule }),
    });
  } else {
    const style = styleFor(world.stdout, world, flags.color);
    world.stdout.write(`${sweepText(result, { style, typed: typedWith(world, flags), schedule })}\n`);
  }
  return EXIT.done;
}

const exitCodeOf = (type: string | undefined): ExitCode =>
  type === FAILURE.invalidInput ? EXIT.usage : (exitCodeOfFailureKind(type) ?? EXIT.runFailed);

async function setSchedule(
  { world }: Context,
  flags: SweepFlags,
  client: RollbackClient,
  input: SweepInput,
  every: number | 'off',
): Promise<ExitCode> {
  const typed: Typed = typedWith(world, flags);
  const { regionId } = input;
  if (every === 'off') {
    const removed = await client.sweeps.unschedule(regionId);
    if (flags.output === 'json') json(world.stdout, { command: 'sweep', regionId, removed, exitCode: EXIT.done });
    else world.stdout.write(`${removed ? 'the schedule is removed' : 'there was no schedule'} (${regionId})\n`);
    return EXIT.done;
  }
  const schedule = await client.sweeps.schedule(input, Math.round(every / 1_000));
  if (flags.output === 'json') json(world.stdout, { command: 'sweep', regionId, schedule, exitCode: EXIT.done });
  else
    world.stdout.write(`${line(styleFor(world.stdout, world, false), scheduleText(regionId, { schedule, typed }))}\n`);
  return EXIT.done;
}

function sweepInput(flags: SweepFlags, env: Readonly<Record<string, string | undefined>>): SweepInput {
  const faults: string[] = [];
  const region = flags.region ?? (env.ALIBABA_CLOUD_REGION_ID || undefined);
  if (region === undefined) {
    faults.push('--region: is missing: give a region, such as cn-hangzhou (or set ALIBABA_CLOUD_REGION_ID)');
  } else {
    const { error } = sweepInputSchema.shape.regionId.safeParse(region);
    if (error !== undefined) faults.push(`--region: ${JSON.stringify(region)} ${error.issues[0]?.message ?? ''}`);
  }
  const minAge = flags.minAge === undefined ? 0 : parseDuration(flags.minAge, YEAR_MS);
  if (minAge === undefined) {
    faults.push(
      `--min-age: ${JSON.stringify(flags.minAge)} is not a duration up to a year: expected something like 12h or 7d`,
    );
  }
  if (flags.every === 'off' && (flags.delete || flags.releaseAttached || flags.minAge !== undefined)) {
    faults.push('--every: "off" removes the schedule and sweeps nothing: leave out the other choices');
  }
  if (faults.length > 0) throw new UsageError(...faults);
  return sweepInputSchema.parse({
    regionId: region,
    delete: flags.delete === true,
    releaseAttached: flags.releaseAttached === true,
    minAgeSeconds: Math.round((minAge ?? 0) / 1_000),
  });
}

/** Milliseconds, or `off`. */
function interval({ every, timeout }: SweepFlags): number | 'off' | undefined {
  if (every === undefined) return undefined;
  if (timeout !== undefined) {
    throw new UsageError(
      '--timeout: a schedule is made at once and nothing is waited for: leave out --timeout or --every',
    );
  }
  if (every === 'off') return every;
  const parsed = parseDuration(every, YEAR_MS);
  if (parsed === undefined || parsed < SHORTEST_INTERVAL_MS) {
    throw new UsageError(
      `--every: ${JSON.stringify(every)} is not accepted: expected a duration from 5m to a year, such as 6h, or off`,
    );
  }
  return parsed;
}
