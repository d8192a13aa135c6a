/** Renders COVERAGE.md from the action table: per action and parameter what is modelled, ignored or refused. */
import { parameterSpec } from '../protocol/parameters.ts';
import { switchChoices } from '../state/model.ts';
import { type ActionName, type ActionShape, actionTable } from './action-table.ts';

/** What a reader should know beyond the parameters. */
const remarks: Record<ActionName, string> = {
  DescribeInstances: 'Networks, security groups and images are constant or empty in the answer.',
  DescribeInstanceStatus: 'Page numbers only, at most 50 rows a page.',
  DescribeInstanceTypes: 'A handful of types; what the plan of a rollback reads of them.',
  DescribeAvailableResource:
    'Data disks (`DestinationResource=DataDisk`, `ResourceType=disk`) of three zones only; anything else is an `UnsupportedParameter`.',
  DescribeDisks:
    'Both paging styles; 10 rows unless asked for more. For a moment after AttachDisk it still shows the old state.',
  DescribeSnapshots:
    'CreationTime is empty until the point in time is cut. Automatic and archived ones exist where a test makes them so.',
  CreateSnapshot:
    'The bytes are copied at the cut, some seconds after the call. ESSD family: Available before accomplished. Fails when the instance is stopped or rebooted meanwhile (switch `stopFailsSnapshots`).',
  DeleteSnapshot: 'Also cancels a progressing one; a locked one is kept. Unknown ids: switch `deleteUnknownSnapshot`.',
  LockSnapshot:
    'Days run in simulated time, from when the snapshot is accomplished, and end before its retention does. The codes of refusals are not documented; these are ours. Over HTTP, too (the service: HTTPS only).',
  UnlockSnapshot: 'In the cool-off period only.',
  DescribeLockedSnapshots: 'Expired locks are listed, too.',
  ResetDisk:
    'Really puts the bytes back. Switches: `statusDuringReset`, `sizeAfterReset`, `availableSnapshotBlocksReset`.',
  CreateDisk: 'From a size or from a snapshot; pay-as-you-go. Quotas of the account are not modelled.',
  AttachDisk: 'One at a time per instance, as many as its type takes (17).',
  DetachDisk: 'Data disks only; one at a time per instance.',
  DeleteDisk: 'A new disk from a snapshot answers `IncorrectDiskStatus.Initializing` for a while.',
  ModifyDiskAttribute: '',
  ResizeDisk: 'Offline: the guest sees the new size after its next boot; online at once. File systems are left alone.',
  StopInstance:
    'A real shutdown of the guest. StoppedMode not sent: switch `defaultStoppedMode`. ForceStop during a graceful stop: switch `forceStopWhileStopping`.',
  StopInstances: 'AllTogether changes nothing when one instance is refused; SuccessFirst reports each.',
  StartInstance: 'A real boot. After StopCharging and with switch `stock` = no: `OperationDenied.NoStock`.',
  StartInstances: 'As StartInstance and StopInstances.',
  RebootInstance: '',
  RunCommand:
    'Really run in the guest (not with data plane `none`). Once and DryRun only. 24 KB limit (18 KB with KeepCommand), output cut to 24 KB.',
  DescribeInvocations: 'The newest 1,000 invocations are kept.',
  DescribeInvocationResults: 'Output is Base64 unless PlainText is asked for. Unknown ids give an empty list.',
  StopInvocation: 'Ends the script in the guest, and cancels what is not delivered yet.',
  SendFile: '32 KB limit.',
  DescribeSendFileResults: '',
  DescribeCloudAssistantStatus: '"true" some seconds after the boot, once the guest\'s agent really answers.',
  TagResources: 'Instances, disks and snapshots.',
  UntagResources: 'Instances, disks and snapshots.',
  ListTagResources: 'NextToken paging, 50 rows a page.',
};

const yes = (value: boolean): string => (value ? 'yes' : '–');

/** The whole document. */
export function renderCoverage(): string {
  const lines = [
    '# What the simulator models',
    '',
    'Made from `simulator/api/action-table.ts`; do not edit. `npx vitest run --project unit test/unit/simulator/coverage.test.ts -u` writes it anew.',
    '',
    '**modelled**: has its effect. **ignored**: accepted, without effect. **refused**: a 400 `UnsupportedParameter` that names it.',
    'Any other action is a 404 `InvalidAction.NotFound`, any other parameter a 400 `UnsupportedParameter`; parameters of the gateway',
    '(`Action`, `Version`, `Format`, `Signature…`, `AccessKeyId`, `SecurityToken`, `OwnerId`, `OwnerAccount`, `ResourceOwner…`) are accepted with every action.',
    '',
    '| action | parameters modelled | ignored | refused | ClientToken | DryRun |',
    '|---|---|---|---|---|---|',
  ];
  const actions = Object.entries(actionTable) as [ActionName, ActionShape][];
  for (const [action, { parameters }] of actions) {
    const fates = Object.values(parameters).map((line) => parameterSpec(line).fate);
    const count = (fate: string): number => fates.filter((other) => other === fate).length;
    lines.push(
      `| [${action}](#${action.toLowerCase()}) | ${count('modelled')} | ${count('ignored')} | ${count('refused')} | ${yes('ClientToken' in parameters)} | ${yes('DryRun' in parameters)} |`,
    );
  }
  for (const [action, { parameters, required }] of actions) {
    lines.push('', `## ${action}`, '');
    if (remarks[action] !== '') lines.push(remarks[action], '');
    lines.push('| parameter | type | | |', '|---|---|---|---|');
    for (const [name, line] of Object.entries(parameters)) {
      const spec = parameterSpec(line);
      const shown = { list: `${name}.N`, structs: spec.fields.map((field) => `${name}.N.${field}`).join(', ') };
      const label = spec.type === 'list' || spec.type === 'structs' ? shown[spec.type] : name;
      const note = required.includes(name) ? 'required' : spec.why;
      lines.push(`| ${label} | ${spec.type === 'structs' ? 'list' : spec.type} | ${spec.fate} | ${note} |`);
    }
  }
  lines.push(
    '',
    "## Where the service's documents leave a choice",
    '',
    'Set with `POST /__sim/switches`; the first value is the default.',
    '',
    '| switch | values |',
    '|---|---|',
    ...Object.entries(switchChoices).map(([name, choices]) => `| ${name} | ${choices.join(', ')} |`),
    '',
    '## Not modelled',
    '',
    '- Permissions (RAM), quotas of the account, billing; one access key with all rights. An STS token is accepted unread.',
    '- Windows guests beyond their API: an instance with `OSType` windows takes RunPowerShellScript and RunBatScript in data plane `none` only, where nothing is executed.',
    '- More than one region in one process; networks, images, security groups; instances are made by scenes, not by RunInstances.',
    '- Subscription (`PrePaid`) resources, regional and local disks, attaching one disk to several instances at once.',
    '- Snapshot-consistent groups, archiving and copying of snapshots, what automatic snapshot policies do.',
    '- Saved commands (CreateCommand, InvokeCommand), commands on a schedule or at boot, output to OSS.',
    '- Answers in XML. HTTPS.',
    "- Durations are orders of magnitude (`simulator/state/model.ts`), not the service's: none is published.",
    '',
  );
  return lines.join('\n');
}
