/**
 * The commands about what a run keeps in the guest: report pages out all that its comparison has found, restore puts back what
 * was kept aside, close removes all of it.
 */
import type { RollbackClient } from '../../client.ts';
import {
  type Discarded,
  type ReportPage,
  type ReportRequest,
  type Restored,
  reportRequestSchema,
} from '../../contract/report.ts';
import { guestPathSchema } from '../../contract/rollback.ts';
import { canAsk, confirm } from '../confirm.ts';
import { formatBytes } from '../durations.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { shellWord, typedWith } from '../next-commands.ts';
import { count } from '../plan-text.ts';
import { requireAnswer, whole } from '../request.ts';
import { type CommonFlags, type Context, json, withClient } from '../session.ts';
import { oneLine } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';

export interface ReportFlags extends CommonFlags {
  readonly verdict?: string;
  readonly action?: string;
  readonly under?: string;
  readonly page?: string;
}

export async function runReport(context: Context, flags: ReportFlags, id: string): Promise<ExitCode> {
  const { world } = context;
  const request = reportRequest(flags);
  return withClient(flags, async (client) => {
    const page = await client.kept.report(id, request);
    if (flags.output === 'json') {
      json(world.stdout, { command: 'report', exitCode: EXIT.done, ...page });
      return EXIT.done;
    }
    for (const text of reportLines(page)) world.stdout.write(`${text}\n`);
    if (page.page < page.pages) {
      const filters = (['verdict', 'action', 'under'] as const).flatMap((name) => {
        const value = flags[name];
        return value === undefined ? [] : [`--${name}`, value];
      });
      const words = ['report', page.workflowId, ...filters, '--page', String(page.page + 1)];
      world.stdout.write(`There is more: \`${typedWith(world, flags)(words.map(shellWord).join(' '))}\`\n`);
    }
    return EXIT.done;
  });
}

function reportRequest({ verdict, action, under, page }: ReportFlags): ReportRequest {
  const request = reportRequestSchema.safeParse({
    ...(verdict === undefined ? {} : { verdicts: verdict.split(',') }),
    ...(action === undefined ? {} : { actions: action.split(',') }),
    ...(under === undefined ? {} : { under }),
    ...(page === undefined ? {} : { page: whole(page) }),
  });
  if (request.success) return request.data;
  const { shape } = reportRequestSchema;
  const said: Readonly<Record<string, () => string>> = {
    verdicts: () =>
      `--verdict: ${JSON.stringify(verdict)} is not accepted: expected one or more of ${shape.verdicts.unwrap().element.options.join(', ')}, with commas between`,
    actions: () =>
      `--action: ${JSON.stringify(action)} is not accepted: expected one or more of ${shape.actions.unwrap().element.options.join(', ')}, with commas between`,
    page: () => `--page: ${JSON.stringify(page)} is not the number of a page: expected 1 or more`,
  };
  throw new UsageError(
    ...new Set(
      request.error.issues.map(
        (issue) => said[String(issue.path[0])]?.() ?? `--under: ${JSON.stringify(under)} ${issue.message}`,
      ),
    ),
  );
}

export function reportLines({ entries, page, pages, total, bytes }: ReportPage): string[] {
  if (total === 0) return ['nothing'];
  return [
    ...entries.map(
      (entry) =>
        `${entry.verdict.padEnd(20)}  ${entry.action.padEnd(7)}  ${formatBytes(entry.bytes).padStart(10)}  ${oneLine(entry.path)}`,
    ),
    `Page ${page} of ${pages}; in all ${count(total, 'path')}, ${formatBytes(bytes)}`,
  ];
}

export interface RestoreFlags extends CommonFlags {
  readonly path?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
}

export async function runRestore(context: Context, flags: RestoreFlags, id: string): Promise<ExitCode> {
  const { path } = flags;
  const issue = path === undefined ? undefined : guestPathSchema.safeParse(path).error?.issues[0]?.message;
  if (issue !== undefined) throw new UsageError(`--path: ${JSON.stringify(path)} ${issue}`);
  const only = path === undefined ? {} : { path };
  return handleKept(context, flags, id, {
    command: 'restore',
    why: 'this replaces live files: add --yes, or --dry-run to look only',
    perform: (client, options) => client.kept.restore(id, { ...only, ...options }),
    lines: restoredLines,
    exit: ({ problemCount }) => (problemCount === 0 ? EXIT.done : EXIT.incomplete),
  });
}

export async function runClose(context: Context, flags: RestoreFlags, id: string): Promise<ExitCode> {
  return handleKept(context, flags, id, {
    command: 'close',
    why: 'what is removed cannot be had back: add --yes, or --dry-run to look only',
    perform: (client, options) => client.kept.discard(id, options),
    lines: discardedLines,
    exit: () => EXIT.done,
  });
}

/** Looks, shows, asks, and does it. */
async function handleKept<R extends Restored | Discarded>(
  context: Context,
  flags: RestoreFlags,
  id: string,
  work: {
    readonly command: 'restore' | 'close';
    readonly why: string;
    perform(client: RollbackClient, options: { dryRun: boolean; requestedBy: string }): Promise<R>;
    lines(done: R, dryRun: boolean): string[];
    exit(done: R): ExitCode;
  },
): Promise<ExitCode> {
  const { world } = context;
  const { command } = work;
  const dryRun = flags.dryRun === true;
  if (!dryRun) requireAnswer(flags, canAsk(world), work.why);
  return withClient(flags, async (client) => {
    if (!dryRun && flags.yes !== true) {
      const seen = await work.perform(client, { dryRun: true, requestedBy: world.user });
      world.stderr.write(`${work.lines(seen, true).join('\n')}\n\n`);
      const { status, diskId } = await client.view(id);
      const question = { diskId: status?.diskId ?? diskId ?? id, to: command, otherwise: 'nothing was changed' };
      const declined = await confirm(context, question);
      if (declined !== undefined) return declined;
    }
    const done = await work.perform(client, { dryRun, requestedBy: world.user });
    const exitCode = work.exit(done);
    if (flags.output === 'json') json(world.stdout, { command, dryRun, exitCode, ...done });
    else world.stdout.write(`${work.lines(done, dryRun).join('\n')}\n`);
    return exitCode;
  });
}

function restoredLines(done: Restored, dryRun: boolean): string[] {
  const { files, bytes, directories, already, paths, problems, problemCount } = done;
  return [
    ...paths.map((path) => `  ${oneLine(path)}`),
    ...(files > paths.length ? [`  … and ${files - paths.length} more`] : []),
    `${dryRun ? 'Would put back' : 'Put back'}: ${count(files, 'file')}, ${formatBytes(bytes)}${directories === 0 ? '' : `, and ${count(directories, 'missing folder')}`}${already === 0 ? '' : `; ${count(already, 'file')} are back already`}`,
    ...problems.map((problem) => `  not put back: ${oneLine(problem)}`),
    ...(problemCount > problems.length ? [`  … and ${problemCount - problems.length} more not put back`] : []),
  ];
}

function discardedLines({ folders, files, bytes, report }: Discarded, dryRun: boolean): string[] {
  if (folders.length === 0 && !report) return ['The run keeps nothing in the guest'];
  const what = [
    ...(folders.length === 0 ? [] : [`${count(files, 'file')}, ${formatBytes(bytes)} kept aside`]),
    ...(report ? ['the report'] : []),
  ];
  return [
    ...folders.map((folder) => `  ${oneLine(folder)}`),
    `${dryRun ? 'Would remove' : 'Removed'}: ${what.join(', and ')}`,
  ];
}
