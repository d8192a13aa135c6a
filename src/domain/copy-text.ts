/** How far a copy is, in words for the Temporal UI. */
import type { CopyProgress, SyncSelection } from '../contract/rollback.ts';

const STAGE: Record<CopyProgress['stage'], string> = {
  scanning: 'Looking at both sides',
  copying: 'Copying',
  verifying: 'Verifying',
  done: 'Done',
};

const MIB = 1024 ** 2;

export function throttleText({ mibPerSecond, ioClass }: NonNullable<SyncSelection['throttle']>): string {
  const rate = mibPerSecond === undefined ? 'no limit of its rate' : `at most ${mibPerSecond} MiB/s`;
  return `Copy and verification: ${rate}, I/O class ${ioClass ?? 'idle'}`;
}

export function copyText(progress: CopyProgress): string {
  const { stage, filesDone, filesTotal, bytesDone, bytesTotal, bytesPerSecond, secondsLeft, changedAt } = progress;
  const mib = (bytes: number) => `${(bytes / MIB).toFixed(bytes < 10 * MIB ? 1 : 0)} MiB`;
  const parts = [
    filesTotal === 0 ? `${filesDone} entries` : `${filesDone} of ${filesTotal} files`,
    ...(bytesTotal === 0 ? [] : [`${mib(bytesDone)} of ${mib(bytesTotal)}`]),
    ...(bytesPerSecond === undefined ? [] : [`${mib(bytesPerSecond)}/s`]),
    ...(secondsLeft === undefined ? [] : [`about ${Math.ceil(secondsLeft / 60)} min left`]),
    ...(changedAt === undefined ? [] : [`last change ${changedAt}`]),
  ];
  return `${STAGE[stage]}: ${parts.join(', ')}`;
}
