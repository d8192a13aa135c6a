/**
 * What the demo claims, decided from what was read in the guest and in the simulator, and from nothing the product says of
 * itself. Pure, so that its tests can show each claim failing.
 */

/** One line of `shop/checksums.sh`: SHA-256 over content and metadata, per part of the shop. */
export interface Checksums {
  /** `config`, `catalog`, `orders` and `uploads` together. */
  readonly whole: string;
  /** `catalog` and `config`: what the bad deploy ruined and nobody asks back. */
  readonly rolledBack: string;
  /** `orders` and `uploads`: what the run is asked to bring back. */
  readonly broughtBack: string;
  /** `reports`: written to before and after snapshot A, not asked back. */
  readonly other: string;
  readonly files: number;
}

/** Alike in all that the sums are taken over, and in the number of files. */
export const sameShop = (a: Checksums, b: Checksums): boolean =>
  a.whole === b.whole && a.other === b.other && a.files === b.files;

export interface Readings {
  readonly atSnapshotA: Checksums;
  readonly beforeDamage: Checksums;
  readonly afterDamage: Checksums;
  /** Between the reset and the attach of the recovery disk. */
  readonly afterRollback: Checksums;
  readonly afterSync: Checksums;
}

export interface Evidence {
  readonly readings: Readings;
  /** ResetDisk calls that the simulator took, counted from its own log. */
  readonly resetCalls: number;
  readonly leftovers: readonly string[];
  readonly starterExitCode: number;
  /** ISO 8601. */
  readonly readAfterRollbackAt: string;
  readonly steps: ReadonlyArray<{ readonly number: number; readonly outcome: string; readonly startedAt: string }>;
}

export interface Claim {
  readonly claim: string;
  readonly holds: boolean;
}

/** All claims, in the order of the story. The first two say that there was something to lose and something to repair. */
export function prove(evidence: Evidence): Claim[] {
  const { readings, resetCalls, leftovers, starterExitCode, readAfterRollbackAt, steps } = evidence;
  const copyStartedAt = steps.find(({ number }) => number === 7)?.startedAt ?? '';
  const { atSnapshotA, beforeDamage, afterDamage, afterRollback, afterSync } = readings;
  return [
    {
      claim: 'after snapshot A good new data was written',
      holds: beforeDamage.broughtBack !== atSnapshotA.broughtBack && beforeDamage.other !== atSnapshotA.other,
    },
    {
      claim: 'the bad deploy ruined catalogue and configuration',
      holds: afterDamage.rolledBack !== beforeDamage.rolledBack,
    },
    { claim: 'the starter ended with exit code 0', holds: starterExitCode === 0 },
    {
      claim: 'all eight steps are done',
      holds: [1, 2, 3, 4, 5, 6, 7, 8].every((n) => steps.some((s) => s.number === n && s.outcome === 'done')),
    },
    { claim: 'the simulator took exactly one ResetDisk', holds: resetCalls === 1 },
    {
      claim: 'after the reset the disk held snapshot A, all of it',
      holds: afterRollback.whole === atSnapshotA.whole && afterRollback.other === atSnapshotA.other,
    },
    {
      claim: 'that was read before the copy began',
      holds: Date.parse(readAfterRollbackAt) < Date.parse(copyStartedAt),
    },
    {
      claim: 'at the end catalogue and configuration are those of snapshot A',
      holds: afterSync.rolledBack === atSnapshotA.rolledBack,
    },
    {
      claim: 'at the end orders and uploads are those of the moment before the damage',
      holds: afterSync.broughtBack === beforeDamage.broughtBack,
    },
    { claim: 'at the end the whole shop is as before the damage', holds: afterSync.whole === beforeDamage.whole },
    { claim: 'what was not asked back stayed at snapshot A', holds: afterSync.other === atSnapshotA.other },
    { claim: 'nothing temporary is left in the cloud or in the guest', holds: leftovers.length === 0 },
  ];
}

/** The parts of the simulator's state that leftovers are read from. */
export interface CloudState {
  readonly disks: Readonly<
    Record<
      string,
      {
        readonly status: string;
        readonly resetting?: boolean;
        readonly attachment: { readonly instanceId: string } | null;
      }
    >
  >;
  readonly snapshots: Readonly<Record<string, { readonly status: string }>>;
  readonly instances: Readonly<Record<string, { readonly status: string }>>;
}

/**
 * Everything that the scene, snapshot A and the kept snapshot B do not explain, one readable line each.
 * `guest` is what `shop/leftovers.sh` printed: mounts and folders of runs, and block devices beyond the scene's.
 */
export function leftoversOf(
  state: CloudState,
  scene: {
    readonly instanceId: string;
    readonly systemDiskId: string;
    readonly dataDiskId: string;
    readonly packagesDiskId?: string;
  },
  keptSnapshots: readonly string[],
  guest: readonly string[],
): string[] {
  const left: string[] = [];
  const expected = [scene.systemDiskId, scene.dataDiskId, scene.packagesDiskId].filter((id) => id !== undefined);
  for (const [id, { status, attachment }] of Object.entries(state.disks)) {
    if (!expected.includes(id)) {
      left.push(`disk ${id} (${status}${attachment ? `, attached to ${attachment.instanceId}` : ''})`);
    } else if (attachment?.instanceId !== scene.instanceId) {
      left.push(`disk ${id} is no longer attached to ${scene.instanceId}`);
    }
  }
  for (const id of expected) if (!state.disks[id]) left.push(`disk ${id} of the scene is gone`);
  for (const [id, { status }] of Object.entries(state.snapshots)) {
    if (!keptSnapshots.includes(id)) left.push(`snapshot ${id} (${status})`);
  }
  for (const id of keptSnapshots) {
    if (state.snapshots[id]?.status !== 'accomplished') left.push(`snapshot ${id}, which must be kept, is not there`);
  }
  for (const [id, { status }] of Object.entries(state.instances)) {
    if (id !== scene.instanceId) left.push(`instance ${id} (${status})`);
    else if (status !== 'Running') left.push(`instance ${id} is ${status}, but ran before`);
  }
  return [...left, ...guest.map((line) => `guest: ${line}`)];
}
