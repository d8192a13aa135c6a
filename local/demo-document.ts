/** What the demo prints of a story: one JSON document, or a summary for a person who has two minutes. */
import type { Checksums, Claim } from './proof.ts';
import { type ReportedStep, reported, type Run, stepsOf, type Told } from './story.ts';
import type { Stack } from './stack.ts';

/** What `npm run demo -- --json` prints; times in seconds. */
export interface DemoDocument {
  readonly schemaVersion: 1;
  readonly scenario: string;
  readonly verified: boolean;
  /** Of the run that the story is about; `runs` has them all. */
  readonly workflowId: string;
  readonly runId: string;
  readonly temporalUi: string;
  readonly outcome: string;
  readonly regionId: string;
  readonly instanceId: string;
  readonly diskId: string;
  readonly snapshotA: string;
  readonly snapshotB: string;
  readonly fileSystem: string;
  readonly dataPlane: string;
  readonly runs: readonly RunDocument[];
  /** The eight of the vendor's page, in their order. */
  readonly steps: readonly ReportedStep[];
  /** The rollback's own: plan, stop, gate, start, power state. */
  readonly otherSteps: readonly ReportedStep[];
  /** ResetDisk calls that took effect, by the simulator's own log, in all runs together. */
  readonly resetCalls: number;
  /** SHA-256 over content and metadata of the whole shop, or over all rows of the database; `parts` has the same per part. */
  readonly checksums: Readonly<Record<string, string | Readonly<Record<string, Checksums>>>>;
  readonly claims: readonly Claim[];
  readonly leftovers: readonly string[];
  readonly timings: Readonly<Record<string, number>>;
}

interface RunDocument {
  readonly workflowId: string;
  readonly runId: string;
  readonly temporalUi: string;
  readonly outcome: string;
  readonly exitCode: number;
  readonly snapshotB?: string;
}

export function demoDocument(
  scenario: string,
  stack: Pick<Stack, 'simulator' | 'runUrl'>,
  told: Told,
  timings: Readonly<Record<string, number>>,
): DemoDocument {
  const { simulator } = stack;
  const runs = told.runs.map((run) => runDocument(run, stack));
  const [first] = runs;
  const [firstRun] = told.runs;
  if (first === undefined || firstRun === undefined) throw new Error('a story without a run');
  const steps = stepsOf(firstRun).map(reported);
  const wholes = Object.entries(told.readings).map(([moment, { whole }]) => [moment, whole]);
  return {
    schemaVersion: 1,
    scenario,
    verified: told.claims.length > 0 && told.claims.every(({ holds }) => holds),
    workflowId: first.workflowId,
    runId: first.runId,
    temporalUi: first.temporalUi,
    outcome: first.outcome,
    regionId: simulator.regionId,
    instanceId: simulator.scene.instanceId,
    diskId: simulator.scene.dataDiskId,
    snapshotA: told.snapshotA,
    snapshotB: told.snapshotB,
    fileSystem: simulator.scene.fileSystem,
    dataPlane: simulator.dataPlane,
    runs,
    steps: steps.filter(({ number }) => number !== undefined).sort((a, b) => (a.number ?? 0) - (b.number ?? 0)),
    otherSteps: steps.filter(({ number }) => number === undefined),
    resetCalls: told.resetCalls,
    checksums: { ...(Object.fromEntries(wholes) as Record<string, string>), parts: told.readings },
    claims: told.claims,
    leftovers: told.leftovers,
    timings,
  };
}

function runDocument({ exitCode, view }: Run, stack: Pick<Stack, 'runUrl'>): RunDocument {
  const snapshotB = view.result?.safetySnapshotId ?? view.status?.safetySnapshotId;
  return {
    workflowId: view.workflowId,
    runId: view.runId,
    temporalUi: stack.runUrl(view.workflowId, view.runId),
    outcome: view.result?.outcome ?? view.execution,
    exitCode,
    ...(snapshotB === undefined ? {} : { snapshotB }),
  };
}

export function summary(
  demo: DemoDocument,
  over = 'the whole shop (content, owners, modes, times, links, holes, attributes)',
): string {
  const { timings } = demo;
  const readings = demo.checksums['parts'] as Readonly<Record<string, Checksums>>;
  const width = Math.max(...Object.keys(readings).map((moment) => words(moment).length));
  return [
    '',
    `${demo.verified ? 'Proven' : 'NOT PROVEN'}: ${demo.scenario}, disk ${demo.diskId} of ${demo.instanceId} (${demo.fileSystem}, ${demo.dataPlane}), snapshot A ${demo.snapshotA}`,
    ...demo.runs.map(
      (run) =>
        `Run ${run.workflowId}: ${run.outcome}, exit code ${run.exitCode}${run.snapshotB === undefined ? '' : `; kept as its undo: snapshot ${run.snapshotB}`}`,
    ),
    '',
    ...demo.steps.filter(({ startedAt }) => startedAt !== undefined).map(stepLine),
    '',
    `Checksum of ${over}`,
    ...Object.entries(readings).map(([moment, { whole }]) => `  ${words(moment).padEnd(width)} ${whole}`),
    '',
    ...demo.claims.map(({ claim, holds }) => `  ${holds ? '✔' : '✖'} ${claim}`),
    ...demo.leftovers.map((line) => `    left over: ${line}`),
    '',
    ...demo.runs.map(({ temporalUi }) => `Run in the Temporal UI: ${temporalUi}`),
    `Time: ${Object.entries(timings)
      .map(([name, value]) => `${name} ${value.toFixed(1)} s`)
      .join(', ')}`,
  ].join('\n');
}

/** `atSnapshotA` as `at snapshot A`. */
const words = (name: string): string =>
  name.replaceAll(/[A-Z](?=[a-z])/g, (letter) => ` ${letter.toLowerCase()}`).replaceAll(/(?<=[a-z])[A-Z]/g, ' $&');

function stepLine({ number, title, startedAt = '', endedAt = '', outcome }: ReportedStep): string {
  const seconds = (Date.parse(endedAt) - Date.parse(startedAt)) / 1000;
  const took = Number.isFinite(seconds) ? `${seconds.toFixed(1).padStart(5)} s` : '';
  return `  ${number ?? ' '}  ${title.padEnd(46)} ${outcome.padEnd(8)} ${took}`.trimEnd();
}
