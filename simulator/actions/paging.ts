/** Both paging styles of the API: pages by number (10 rows by default), and NextToken with MaxResults. */
import { createHash } from 'node:crypto';
import { ApiError, invalidParameter } from '../protocol/api-error.ts';
import type { Call } from './call.ts';

export interface PageLimits {
  readonly pageSize: number;
  /** 0 where the action knows page numbers only. */
  readonly maxResults: number;
  /** The action has NextToken only, with `maxResults` rows a page. */
  readonly tokensOnly?: boolean;
  /** The action has no page numbers: without MaxResults a page has `maxResults` rows. */
  readonly noPageNumbers?: boolean;
}

interface Row {
  readonly seq: number;
}

export interface Page<T> {
  readonly rows: T[];
  readonly fields: Record<string, unknown>;
}

const pagingNames = ['NextToken', 'MaxResults', 'PageNumber', 'PageSize', 'DryRun'];

/** Newest first, as the service lists. A token belongs to one action and one set of filters. */
export function page<T extends Row>(call: Call, all: readonly T[], limits: PageLimits): Page<T> {
  const rows = [...all].sort((a, b) => b.seq - a.seq);
  if (limits.maxResults > 0) {
    const token = call.p.text('NextToken');
    const whole = limits.noPageNumbers === true ? limits.maxResults : undefined;
    const asked = limits.tokensOnly === true ? limits.maxResults : (call.p.integer('MaxResults') ?? whole);
    if (token !== undefined || asked !== undefined) {
      if (asked !== undefined && asked < 1) throw invalidParameter('MaxResults', 'it must be at least 1');
      const size = Math.min(limits.maxResults, Math.max(10, asked ?? 10));
      const filters = createHash('sha256')
        .update(`${call.p.action}${call.p.fingerprint(pagingNames)}`)
        .digest('base64url');
      const after = token === undefined ? Number.POSITIVE_INFINITY : readToken(token, filters);
      const rest = rows.filter((row) => row.seq < after);
      const part = rest.slice(0, size);
      const last = part.at(-1);
      const NextToken = last !== undefined && rest.length > size ? makeToken(last.seq, filters) : '';
      // With tokens the count says nothing, so it is not the true one here either.
      return { rows: part, fields: { NextToken, TotalCount: 0, PageNumber: 0, PageSize: 0 } };
    }
  }
  const number = call.p.integer('PageNumber', { min: 1, max: 2 ** 31 - 1 }) ?? 1;
  const size = call.p.integer('PageSize', { min: 1, max: limits.pageSize }) ?? 10;
  return {
    rows: rows.slice((number - 1) * size, number * size),
    fields: {
      TotalCount: rows.length,
      PageNumber: number,
      PageSize: size,
      ...(limits.maxResults > 0 && { NextToken: '' }),
    },
  };
}

const makeToken = (seq: number, filters: string): string =>
  Buffer.from(JSON.stringify([seq, filters.slice(0, 16)])).toString('base64url');

function readToken(token: string, filters: string): number {
  try {
    const [seq, of] = JSON.parse(Buffer.from(token, 'base64url').toString()) as [unknown, unknown];
    if (typeof seq === 'number' && of === filters.slice(0, 16)) return seq;
  } catch {
    // Falls through to the refusal.
  }
  throw new ApiError('InvalidParameter.NextToken', 400, 'The specified NextToken is not one that this query returned.');
}
