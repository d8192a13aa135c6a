/** The commands around a run that waits for a selection: browse, find and diff look into its mounted copy, select chooses. */
import { guestPathSchema } from '../../contract/rollback.ts';
import { type LookRequest, type LookResult, type LookVerdict, lookSchema } from '../../contract/selection.ts';
import { formatBytes } from '../durations.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { shellWord, typedWith } from '../next-commands.ts';
import { readableTime } from '../plan-text.ts';
import { type CommonFlags, type Context, json, withClient } from '../session.ts';
import { oneLine } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { said, speaker, type TellFlags } from './tell.ts';

export interface LookFlags extends CommonFlags {
  readonly after?: string;
}

export interface FindFlags extends LookFlags {
  readonly below?: string;
}

export interface SelectFlags extends TellFlags {
  readonly path?: readonly string[];
  readonly conflict?: string;
}

export const runBrowse = (context: Context, flags: LookFlags, id: string, path: string): Promise<ExitCode> =>
  look(context, flags, id, { what: 'browse', ...(path === '' ? {} : { path }) });

export const runDiff = (context: Context, flags: LookFlags, id: string, path: string): Promise<ExitCode> =>
  look(context, flags, id, { what: 'diff', ...(path === '' ? {} : { path }) });

export const runFind = (context: Context, flags: FindFlags, id: string, pattern: string): Promise<ExitCode> =>
  look(context, flags, id, { what: 'find', pattern, ...(flags.below === undefined ? {} : { path: flags.below }) });

export async function runSelect(context: Context, flags: SelectFlags, id: string): Promise<ExitCode> {
  const who = speaker(context, flags);
  const paths = [...new Set(flags.path)];
  if (paths.length === 0) throw new UsageError('--path: is missing: name what to bring back, as the guest sees it');
  for (const path of paths) {
    const issue = guestPathSchema.safeParse(path).error?.issues[0]?.message;
    if (issue !== undefined) throw new UsageError(`--path: ${JSON.stringify(path)} ${issue}`);
  }
  const { conflict } = flags;
  return withClient(flags, async (client) => {
    const request = { ...who, paths, ...(conflict === undefined ? {} : { conflictPolicy: conflict as never }) };
    const after = await client.select(id, request);
    return said(context, flags, 'select', after, `${after.workflowId} brings back ${paths.join(', ')}`, request);
  });
}

async function look(
  context: Context,
  flags: LookFlags,
  id: string,
  asked: Omit<LookRequest, 'path'> & { path?: string },
): Promise<ExitCode> {
  const { world } = context;
  return withClient(flags, async (client) => {
    // What the run was started for, when the person names no folder.
    const path = asked.path ?? (await client.offered(id))[0];
    const request = lookSchema.safeParse({
      ...asked,
      path,
      ...(flags.after === undefined ? {} : { after: flags.after }),
    });
    if (!request.success) {
      throw new UsageError(
        ...request.error.issues.map((issue) => `${issue.path.join('.') || 'path'}: ${issue.message}`),
      );
    }
    const seen = await client.look(id, request.data);
    if (flags.output === 'json') {
      json(world.stdout, { command: asked.what, ...request.data, exitCode: EXIT.done, ...seen });
      return EXIT.done;
    }
    const typed = typedWith(world, flags);
    for (const text of lookLines(seen)) world.stdout.write(`${text}\n`);
    if (seen.next !== undefined) {
      const words = [
        asked.what,
        id,
        asked.pattern ?? request.data.path,
        ...(asked.what === 'find' ? ['--below', request.data.path] : []),
      ];
      world.stdout.write(`There is more: \`${typed([...words, '--after', seen.next].map(shellWord).join(' '))}\`\n`);
    }
    return EXIT.done;
  });
}

const VERDICT: Record<LookVerdict, string> = {
  same: 'same',
  changed: 'differs',
  'only-in-b': 'only in B',
  'only-live': 'only live',
};

export function lookLines({ entries }: LookResult): string[] {
  if (entries.length === 0) return ['nothing'];
  return entries.map(
    ({ path, type, size, modifiedAt, verdict }) =>
      `${VERDICT[verdict].padEnd(9)}  ${(type === 'file' ? formatBytes(size) : type).padStart(10)}  ${readableTime(modifiedAt)}  ${oneLine(path)}`,
  );
}
