/** The commands about what a run keeps in the guest: report pages out all that its comparison has found. */
import { type ReportPage, type ReportRequest, reportRequestSchema } from '../../contract/report.ts';
import { formatBytes } from '../durations.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { shellWord, typedWith } from '../next-commands.ts';
import { count } from '../plan-text.ts';
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
    ...(page === undefined ? {} : { page: /^\d+$/.test(page) ? Number(page) : Number.NaN }),
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
