/** What a run shows of itself in the Temporal UI from its start, and the command that makes a server ready for runs. */
import { SEARCH_ATTRIBUTES } from '../contract/messages.ts';
import { pathsInWords, type RollbackInput, type SyncInput } from '../contract/rollback.ts';

/** The UI and `temporal workflow list` refuse longer summaries. */
const STATIC_SUMMARY_BYTES = 200;

/** The one command that makes a server ready for us; creating an existing attribute is not an error. */
export function searchAttributeCommand(server: { address: string; namespace: string }): string {
  const names = Object.values(SEARCH_ATTRIBUTES).map((name) => `--name ${name} --type Keyword`);
  return `temporal operator search-attribute create --address ${server.address} --namespace ${server.namespace} ${names.join(' ')}`;
}

/** At most 200 bytes: what the list of the Temporal UI shows of a run. */
export function summaryLine(kind: 'rollback' | 'sync', input: RollbackInput | SyncInput): string {
  const back = input.sync === undefined ? '' : `bring back ${pathsInWords(input.sync)}`;
  const what =
    kind === 'sync'
      ? `Sync ${input.diskId} from ${input.snapshotId}: ${back}`
      : `${'undoes' in input && input.undoes !== undefined ? 'Undo: roll' : 'Roll'} back ${input.diskId} to ${input.snapshotId}${back === '' ? '' : `, ${back}`}`;
  return cutToBytes(input.dryRun ? `Plan only: ${what}` : what, STATIC_SUMMARY_BYTES);
}

export function detailsMarkdown(kind: 'rollback' | 'sync', input: RollbackInput | SyncInput): string {
  const lines = [
    `**${kind === 'sync' ? 'Sync from a snapshot' : 'Disk rollback'}**${input.dryRun ? ' (plan only, changes nothing)' : ''}`,
    '',
    `- disk: \`${input.diskId}\` in \`${input.regionId}\``,
    `- ${kind === 'sync' ? 'snapshot to read from' : 'target snapshot A'}: \`${input.snapshotId}\``,
  ];
  if (input.instanceId !== undefined) lines.push(`- only if attached to: \`${input.instanceId}\``);
  if (input.requestedBy !== undefined) lines.push(`- asked for by: ${oneLine(input.requestedBy)}`);
  if ('powerAfter' in input) {
    if (input.undoes !== undefined) lines.push(`- undoes: \`${input.undoes.workflowId}\` (run ${input.undoes.runId})`);
    lines.push(`- snapshot mode: ${input.snapshotMode}${input.freezeFileSystems ? ', file systems frozen' : ''}`);
    if (input.approval !== undefined) {
      const self = input.approval.requesterMayApprove ? '' : ', not by whoever asked';
      lines.push(
        `- needs ${input.approval.quorum === 1 ? 'an approval' : `${input.approval.quorum} approvals`}${self}`,
      );
    }
    lines.push(`- power state at the end: ${input.powerAfter}${input.forceStop ? ', stop by force allowed' : ''}`);
    const lock = input.lockSafetySnapshotDays === undefined ? '' : `, locked for ${input.lockSafetySnapshotDays} days`;
    lines.push(`- snapshot B is kept for ${input.safetySnapshotRetentionDays} days${lock}`);
  }
  if (input.sync !== undefined) {
    lines.push(`- bring back (${input.sync.conflictPolicy}):`);
    if (input.sync.paths.length === 0) lines.push(`  - ${pathsInWords(input.sync)}`);
    for (const path of input.sync.paths.slice(0, 20)) lines.push(`  - \`${path.replaceAll('`', "'")}\``);
    if (input.sync.paths.length > 20) lines.push(`  - … and ${input.sync.paths.length - 20} more`);
  }
  return cutToBytes(lines.join('\n'), 20_000);
}

/** Names come from other people: none may start a line or a list of its own. */
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').replaceAll('`', "'");

function cutToBytes(text: string, limit: number): string {
  if (Buffer.byteLength(text) <= limit) return text;
  let cut = '';
  let used = Buffer.byteLength('…');
  for (const character of text) {
    used += Buffer.byteLength(character);
    if (used > limit) break;
    cut += character;
  }
  return `${cut}…`;
}
