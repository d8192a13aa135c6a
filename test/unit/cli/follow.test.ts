/** Waiting for a run through ends, timeouts, Ctrl-C and outages. */
import { describe, expect, it } from 'vitest';
import { follow } from '../../../src/cli/follow.ts';
import { ClientError, type RunView } from '../../../src/client.ts';
import { endedView, sampleResult, sampleView } from './samples.ts';

const running = sampleView();
const ended = endedView({ result: sampleResult() });

function looks(...answers: Array<RunView | Error>) {
  let at = 0;
  return () => {
    const answer = answers[Math.min(at, answers.length - 1)];
    at += 1;
    return answer instanceof Error || answer === undefined ? Promise.reject(answer) : Promise.resolve(answer);
  };
}

function options(over: object = {}) {
  const seen: RunView[] = [];
  const outages: string[] = [];
  return {
    seen,
    outages,
    signal: new AbortController().signal,
    intervalMs: 2,
    onView: (view: RunView) => void seen.push(view),
    onOutage: (error: ClientError) => void outages.push(error.message),
    ...over,
  };
}

describe('follow', () => {
  it('ends with the run and shows every look', async () => {
    const how = options();
    expect(await follow(looks(running, running, ended), how)).toEqual({ how: 'ended', view: ended });
    expect(how.seen).toEqual([running, running, ended]);
  });

  it('stops at its timeout with the last look', async () => {
    const started = Date.now();
    expect(await follow(looks(running), options({ timeoutMs: 40 }))).toEqual({ how: 'timeout', view: running });
    expect(Date.now() - started).toBeGreaterThanOrEqual(39);
  });

  it('stops at once on Ctrl-C, also in the middle of a look that hangs', async () => {
    const interrupt = new AbortController();
    setTimeout(() => interrupt.abort(), 20);
    const hanging = () => new Promise<RunView>(() => {});
    expect(await follow(hanging, options({ signal: interrupt.signal }))).toEqual({
      how: 'interrupted',
      view: undefined,
    });
  });

  it('stops at once on Ctrl-C while it pauses', async () => {
    const interrupt = new AbortController();
    setTimeout(() => interrupt.abort(), 20);
    const how = options({ signal: interrupt.signal, intervalMs: 60_000 });
    expect(await follow(looks(running), how)).toEqual({ how: 'interrupted', view: running });
  });

  it('lives through an outage and says it once', async () => {
    const away = new ClientError('unreachable', 'no answer');
    const how = options();
    expect((await follow(looks(running, away, away, running, ended), how)).how).toBe('ended');
    expect(how.outages).toEqual(['no answer']);
  });

  it('gives up on an outage that lasts', async () => {
    const away = new ClientError('unreachable', 'no answer');
    await expect(follow(looks(running, away), options({ patienceMs: 30 }))).rejects.toBe(away);
  });

  it('passes on every other error', async () => {
    const gone = new ClientError('notFound', 'no such run');
    await expect(follow(looks(gone), options())).rejects.toBe(gone);
  });
});
