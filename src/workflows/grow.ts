/** After a reset to a snapshot from before an expansion: the disk gets its size back, and the guest's file systems theirs. */
import { CancellationScope } from '@temporalio/workflow';
import type { Guarded } from './decisions.ts';
import { failureText } from './failure-text.ts';
import { agentWait, effects, scripts, waits } from './policies.ts';
import { isExpected, type Run } from './run.ts';
import type { Scene } from './scene.ts';

const has = (run: Run, step: 'restoreDiskSize' | 'growFileSystems') => run.plan?.steps.includes(step) ?? false;

/** Before the start, so that the guest sees the disk's size from its boot on. */
export async function restoreDiskSize(run: Run, { input, disk }: Scene, guarded: Guarded): Promise<void> {
  if (!has(run, 'restoreDiskSize')) return;
  const size = { run: run.id, regionId: input.regionId, diskId: disk.id, sizeGiB: disk.sizeGiB };
  await guarded('restoreDiskSize', () =>
    run.step(
      'restoreDiskSize',
      async (summary) => {
        const seen = await effects.restoreDiskSize.executeWithOptions(
          summary(`See that ${disk.id} has its ${disk.sizeGiB} GiB again, or resize it`),
          [size],
        );
        if (seen.sent) {
          await waits.awaitDiskSize.executeWithOptions(summary(`Wait until ${disk.id} has ${disk.sizeGiB} GiB`), [
            size,
          ]);
        }
        return seen;
      },
      ({ sent, seenGiB }) => (sent ? `resized from ${seenGiB} to ${disk.sizeGiB} GiB` : `still ${seenGiB} GiB`),
    ),
  );
}

/**
 * What cannot be grown keeps nothing from going on: it is listed, for somebody to do by hand. A cancel waits for its end, as
 * for that of the start.
 */
export async function growFileSystems(run: Run, { input, disk, instance }: Scene): Promise<void> {
  if (!has(run, 'growFileSystems')) return;
  const guest = { run: run.id, regionId: input.regionId, instanceId: instance.id };
  try {
    const { left } = await CancellationScope.nonCancellable(() =>
      run.step(
        'growFileSystems',
        async (summary) => {
          await agentWait.awaitAgentOnline.executeWithOptions(summary('Wait for the Cloud Assistant agent'), [guest]);
          await scripts.awaitGuestReady.executeWithOptions(summary('Wait until the guest has booted'), [guest]);
          return scripts.growFileSystems.executeWithOptions(summary('Grow partition and file systems to the disk'), [
            { ...guest, originalSerial: disk.serial },
          ]);
        },
        ({ grown }) => (grown.length === 0 ? 'nothing to grow' : `grown: ${grown.map(({ name }) => name).join(', ')}`),
      ),
    );
    for (const what of left) run.leaveOver(`not grown on ${disk.id}: ${what}`);
  } catch (error) {
    if (!isExpected(error)) throw error;
    run.leaveOver(`file systems of ${disk.id} not grown to ${disk.sizeGiB} GiB: ${failureText(error).message}`);
  }
}
