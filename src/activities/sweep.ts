/**
 * Finding and freeing what ended runs have left behind. Each effect looks at the thing anew and asks the rules of
 * `domain/sweep.ts` once more before it sends anything.
 */
import { getClient } from '@temporalio/activity';
import { isGrpcServiceError, ServiceError, WorkflowNotFoundError } from '@temporalio/client';
import type { Ecs, EcsRegion } from '../cloud/port.ts';
import type { Disk, Snapshot } from '../cloud/types.ts';
import { type Purpose, rollbackWorkflowId, syncWorkflowId, TAG } from '../contract/ids.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import type { SweepInput } from '../contract/sweep.ts';
import { inOrder, judge, type Leftover, type RunState } from '../domain/sweep.ts';
import { alive } from './alive.ts';
import { refuse } from './failures.ts';
import type { GuestRunner } from './guest-runner.ts';
import { guestRunName } from './identity.ts';
import { holderOf } from './lease.ts';
import { unlessGone } from './recovery-disk.ts';

export interface LeftoverRef {
  readonly kind: 'disk' | 'snapshot';
  readonly id: string;
  readonly input: SweepInput;
}

/** Things of one purpose that one sweep looks at; keeps its result far below what a payload may have (2 MB). */
const MOST_OF_A_PURPOSE = 300;

const isOpen = (name: string) => name === 'RUNNING' || name === 'PAUSED';

/** Status code of gRPC. */
const INVALID_ARGUMENT = 3;

/** What somebody else wrote into a tag may be no id of a run at all: the server says INVALID_ARGUMENT. */
const isNoId = (error: unknown): boolean => {
  if (!(error instanceof ServiceError) || !isGrpcServiceError(error.cause)) return false;
  const code: number = error.cause.code;
  return code === INVALID_ARGUMENT;
};

/** What Temporal knows of a run, asked once each for as long as this lives. */
function runBook() {
  const known = new Map<string, Promise<string | null>>();
  /** Status of one run, or of the latest of its workflow id; null when there is none. */
  const status = (workflowId: string, runId?: string): Promise<string | null> => {
    const key = JSON.stringify([workflowId, runId]);
    const asked =
      known.get(key) ??
      getClient()
        .workflow.getHandle(workflowId, runId)
        .describe()
        .then(
          (seen) => seen.status.name,
          (error: unknown) => {
            if (error instanceof WorkflowNotFoundError || isNoId(error)) return null;
            throw error;
          },
        );
    known.set(key, asked);
    return asked;
  };
  return {
    async stateOf(workflowId: string, runId: string): Promise<RunState> {
      const name = workflowId === '' || runId === '' ? null : await status(workflowId, runId);
      if (name === null) return 'unknown';
      return isOpen(name) ? 'open' : 'closed';
    },
    async openAmong(workflowIds: readonly string[]): Promise<string[]> {
      const states = await Promise.all(workflowIds.map(async (id) => (id === '' ? null : await status(id))));
      return workflowIds.filter((_, index) => isOpen(states[index] ?? ''));
    },
  };
}

export function sweepActivities(ecs: Ecs, guest: GuestRunner) {
  type Book = ReturnType<typeof runBook>;

  async function hostOf(region: EcsRegion, disk: Disk): Promise<Leftover['host']> {
    const [instanceId] = disk.attachedTo;
    if (instanceId === undefined) return undefined;
    const [instances, agents, heldBy] = await Promise.all([
      region.instances([instanceId]),
      region.agents([instanceId]),
      holderOf(instanceId),
    ]);
    const instance = instances.get(instanceId);
    if (instance === undefined) return undefined;
    return {
      instanceId,
      status: instance.status,
      agentOnline: agents.get(instanceId)?.online === true,
      heldBy,
    };
  }

  async function about(
    thing: Disk | Snapshot,
    originalDiskId: string | undefined,
    book: Book,
  ): Promise<
    Pick<
      Leftover,
      'id' | 'status' | 'purpose' | 'runId' | 'workflowId' | 'expiresAt' | 'createdAt' | 'run' | 'openRuns'
    >
  > {
    const { tags } = thing;
    const [runId = '', workflowId = ''] = [tags[TAG.run], tags[TAG.workflow]];
    const expiresAt = tags[TAG.expires];
    const related =
      originalDiskId === undefined ? [] : [rollbackWorkflowId, syncWorkflowId].map((of) => of(originalDiskId));
    return {
      id: thing.id,
      status: thing.status,
      purpose: tags[TAG.purpose] ?? '',
      runId,
      workflowId,
      ...(expiresAt === undefined ? {} : { expiresAt }),
      createdAt: thing.createdAt,
      run: await book.stateOf(workflowId, runId),
      openRuns: await book.openAmong([...new Set([workflowId, ...related])]),
    };
  }

  async function diskLeftover(
    region: EcsRegion,
    disk: Disk,
    madeFrom: Snapshot | undefined,
    book: Book,
  ): Promise<Leftover> {
    const original = madeFrom?.sourceDiskId || undefined;
    const host = await hostOf(region, disk);
    return {
      kind: 'disk',
      ...(await about(disk, original, book)),
      sizeGiB: disk.sizeGiB,
      attachedTo: disk.attachedTo,
      diskKind: disk.kind,
      ...(disk.sourceSnapshotId === undefined
        ? {}
        : {
            madeFrom: { snapshotId: disk.sourceSnapshotId, ...(original === undefined ? {} : { diskId: original }) },
          }),
      snapshotsOfIt: (await region.snapshotsOf(disk.id)).filter(({ tags }) => TAG.run in tags).map(({ id }) => id),
      ...(host === undefined ? {} : { host }),
    };
  }

  /** The run that works on the instance of a disk: the disk's snapshot may be what it goes back to. */
  async function runOnDisk(region: EcsRegion, diskId: string): Promise<string | null> {
    const [instanceId] = (await region.disks([diskId])).get(diskId)?.attachedTo ?? [];
    return instanceId === undefined ? null : holderOf(instanceId);
  }

  async function snapshotLeftover(region: EcsRegion, snapshot: Snapshot, book: Book): Promise<Leftover> {
    const seen = await about(snapshot, snapshot.sourceDiskId || undefined, book);
    // A safety snapshot stays whatever is open.
    const isTemporary = seen.purpose !== 'safety-snapshot' && snapshot.sourceDiskId !== '';
    const holder = isTemporary ? await runOnDisk(region, snapshot.sourceDiskId) : null;
    return {
      kind: 'snapshot',
      ...seen,
      openRuns: holder === null || seen.openRuns.includes(holder) ? seen.openRuns : [...seen.openRuns, holder],
      sizeGiB: snapshot.sourceDiskSizeGiB,
      attachedTo: [],
      snapshotsOfIt: [],
    };
  }

  /** The thing as it is now; undefined when it is gone. */
  async function look({ kind, id, input }: LeftoverRef): Promise<Leftover | undefined> {
    const region = ecs.region(input.regionId);
    if (kind === 'snapshot') {
      const snapshot = (await region.snapshots([id])).get(id);
      return snapshot === undefined ? undefined : snapshotLeftover(region, snapshot, runBook());
    }
    const disk = (await region.disks([id])).get(id);
    if (disk === undefined) return undefined;
    const source =
      disk.sourceSnapshotId === undefined
        ? undefined
        : (await region.snapshots([disk.sourceSnapshotId])).get(disk.sourceSnapshotId);
    return diskLeftover(region, disk, source, runBook());
  }

  function mustBeDoomed(leftover: Leftover, { input }: LeftoverRef): void {
    const verdict = judge(leftover, input, new Date().toISOString());
    if (!verdict.doomed) throw refuse(ACTIVITY_FAILURE.conflict, `${leftover.id} is left alone: ${verdict.reason}`);
  }

  return {
    /** Everything in the region that carries our tags, with what the rules ask about it. Reads only. */
    findLeftovers: alive(
      async (input: SweepInput): Promise<{ observedAt: string; leftovers: Leftover[]; notShown: number }> => {
        const region = ecs.region(input.regionId);
        const tagged = (purpose: Purpose) => ({ [TAG.purpose]: purpose });
        const [disks, warmUps, safety] = await Promise.all([
          region.disksTagged(tagged('recovery-disk')),
          region.snapshotsTagged(tagged('warm-up-snapshot')),
          region.snapshotsTagged(tagged('safety-snapshot')),
        ]);
        let notShown = 0;
        const oldest = <T extends { createdAt: string }>(things: T[]): T[] => {
          const sorted = things.sort((a, b) => (a.createdAt || '9').localeCompare(b.createdAt || '9'));
          notShown += Math.max(0, sorted.length - MOST_OF_A_PURPOSE);
          return sorted.slice(0, MOST_OF_A_PURPOSE);
        };
        const shownDisks = oldest(disks);
        const sources = await region.snapshots(shownDisks.flatMap(({ sourceSnapshotId }) => sourceSnapshotId ?? []));
        const book = runBook();
        const leftovers: Leftover[] = [];
        for (const disk of shownDisks) {
          leftovers.push(await diskLeftover(region, disk, sources.get(disk.sourceSnapshotId ?? ''), book));
        }
        for (const snapshot of [...oldest(warmUps), ...oldest(safety)]) {
          leftovers.push(await snapshotLeftover(region, snapshot, book));
        }
        return { observedAt: new Date().toISOString(), leftovers: leftovers.sort(inOrder), notShown };
      },
    ),

    /**
     * In the guest: ends what the run still has at work there, unmounts its mounts of the recovery disk. Refused when
     * somebody else uses the disk. `inGuest`: whether there is a running guest that could be asked.
     */
    async unmountLeftover(ref: LeftoverRef): Promise<{ inGuest: boolean }> {
      const leftover = await look(ref);
      if (leftover === undefined) return { inGuest: false };
      mustBeDoomed(leftover, ref);
      const { host } = leftover;
      if (host?.status !== 'Running') return { inGuest: false };
      const { regionId } = ref.input;
      const disk = (await ecs.region(regionId).disks([ref.id])).get(ref.id);
      const at = { regionId, instanceId: host.instanceId };
      const limits = { timeoutSeconds: 120, look: true };
      await guest.run(at, 'unmount', { run: guestRunName(leftover.runId) }, limits);
      if (disk !== undefined && disk.serial !== '') {
        const { uses } = await guest.run(at, 'disk-use', { serial: disk.serial }, limits);
        if (uses.length > 0) {
          throw refuse(
            ACTIVITY_FAILURE.conflict,
            `${ref.id} is left alone: somebody else uses it in ${host.instanceId} (${uses.slice(0, 3).join(', ')})`,
          );
        }
      }
      return { inGuest: true };
    },

    detachLeftover: alive(async (ref: LeftoverRef): Promise<{ sent: boolean }> => {
      const leftover = await look(ref);
      const [instanceId] = leftover?.attachedTo ?? [];
      if (leftover === undefined || instanceId === undefined || leftover.status === 'Detaching') return { sent: false };
      mustBeDoomed(leftover, ref);
      return unlessGone(() => ecs.region(ref.input.regionId).detachDisk(ref.id, instanceId));
    }),

    deleteLeftover: alive(async (ref: LeftoverRef): Promise<{ sent: boolean }> => {
      const leftover = await look(ref);
      if (leftover === undefined) return { sent: false };
      mustBeDoomed(leftover, ref);
      const region = ecs.region(ref.input.regionId);
      return unlessGone(() => (ref.kind === 'disk' ? region.deleteDisk(ref.id) : region.deleteSnapshot(ref.id)));
    }),
  };
}
