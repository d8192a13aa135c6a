/** What the service itself says it would do: the calls of the run, sent with DryRun. */
import type { PlanFinding, RollbackInput } from '../../contract/rollback.ts';
import { resetRunning } from './disk.ts';
import { blocker, warning } from './findings.ts';
import type { DryRunCall, Observed, Refusal } from './observed.ts';

const CALLS: readonly DryRunCall[] = ['ResetDisk', 'StopInstance', 'StartInstance'];

/**
 * `said`: what the other rules have found. A refusal without a code of its own is news only when nothing else stands in the
 * way, for it would mostly say the same again.
 */
export function* checkDryRuns(
  input: RollbackInput,
  seen: Observed,
  said: readonly PlanFinding[],
): Generator<PlanFinding> {
  const blocked = said.some(({ severity }) => severity === 'blocker');
  for (const call of CALLS) {
    const answer = seen.dryRuns[call];
    if (answer === undefined || answer === 'passes' || isExpected(answer)) continue;
    const finding = judge(call, answer, input, blocked);
    if (finding !== undefined && !said.some(({ code }) => code === finding.code)) yield finding;
  }
  const { disk } = seen;
  const { ResetDisk: reset } = seen.dryRuns;
  if (disk?.encrypted === true && reset !== 'passes' && !(reset !== undefined && isAboutKms(reset))) {
    yield warning(
      'KmsNotChecked',
      'diskId',
      `disk ${disk.id} is encrypted${disk.kmsKeyId === undefined ? '' : ` with KMS key ${disk.kmsKeyId}`}; whether the key may be used shows only once the instance is stopped`,
      'see in KMS that the key is enabled and ECS is authorised for it',
    );
  }
}

/** The dry run meets the instance as it is now; the run brings it into the state that each call needs. */
const isExpected = ({ code }: Refusal): boolean => code === 'IncorrectInstanceStatus';

const isAboutKms = ({ code }: Refusal): boolean => /KMS/i.test(code);

function judge(call: DryRunCall, refusal: Refusal, input: RollbackInput, blocked: boolean): PlanFinding | undefined {
  const field = call === 'ResetDisk' ? 'diskId' : 'instanceId';
  if (refusal.code === 'InvalidOperation.DiskResetInProgress') return resetRunning(input.diskId);
  if (isAboutKms(refusal)) {
    return blocker(
      'KmsKeyUnusable',
      'diskId',
      `the service would refuse ${call}: ${refusal.message}`,
      'enable the KMS key and authorise ECS for it',
    );
  }
  if (refusal.kind === 'denied' && /^(Forbidden|NoPermission)/.test(refusal.code)) {
    return blocker(
      'NotAllowed',
      field,
      `the worker's credentials may not do ${call}: ${refusal.message}`,
      `allow ecs:${call} for them (deploy/ram-policy.json)`,
    );
  }
  if (refusal.kind === 'noStock') {
    return warning(
      'NoStock',
      'instanceId',
      `the service would not start the instance now: ${refusal.message}`,
      'wait for capacity, or expect the run to try again slowly after the reset',
    );
  }
  return blocked
    ? undefined
    : blocker(
        'ServiceWouldRefuse',
        field,
        `the service would refuse ${call} now: ${refusal.message}`,
        'mend what it names, then plan again',
      );
}
