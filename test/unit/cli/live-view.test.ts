/** The live view, on a terminal and in a log. */
import { describe, expect, it } from 'vitest';
import { clip, liveView } from '../../../src/cli/live-view.ts';
import { endedView, NOW, plain, sampleResult, sampleStatus, sampleView, typed } from './samples.ts';

function screen(over: { isTTY?: boolean; columns?: number; rows?: number } = { isTTY: true }) {
  const stream = {
    columns: 100,
    rows: 40,
    ...over,
    text: '',
    write(text: string) {
      stream.text += text;
    },
  };
  return stream;
}

const parts = (stream: ReturnType<typeof screen>, env: Record<string, string> = {}) => ({
  stream,
  style: plain(),
  env,
  typed,
  now: () => NOW,
});

const running = sampleView({ status: sampleStatus() });
const up = (lines: number) => `\u001B[${lines}A\r\u001B[J`;

describe('on a terminal', () => {
  it('redraws in place and takes the block away at the end', () => {
    const stream = screen();
    const view = liveView(parts(stream));
    view.show(running);
    const height = stream.text.split('\n').length - 1;
    expect(height).toBeGreaterThan(8);
    view.show(running);
    expect(stream.text.split(up(height))).toHaveLength(2);
    view.end(endedView({ result: sampleResult() }));
    expect(stream.text.endsWith(up(height))).toBe(true);
  });

  it('never writes a line or a block that does not fit', () => {
    const stream = screen({ isTTY: true, columns: 40, rows: 8 });
    liveView(parts(stream)).show(running);
    const lines = stream.text.trimEnd().split('\n');
    expect(lines.length).toBeLessThan(8);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(40);
    expect(lines[0]).toContain('Rollback of disk');
    expect(lines.at(-1)).toContain('cancel');
  });
});

describe('in a log', () => {
  it('writes one timestamped line per change and nothing else', () => {
    const stream = screen({});
    const view = liveView(parts(stream));
    view.show(running);
    view.show(running);
    view.note('a remark');
    expect(stream.text.split('\n')).toEqual([
      '2026-11-22 03:10:00Z ✔ Stop the instance (31s)',
      '2026-11-22 03:10:00Z ● step 1: Take snapshot B: 37 %',
      '2026-11-22 03:10:00Z a remark',
      '',
    ]);
  });

  it('is what a CI console gets, terminal or not', () => {
    const stream = screen({ isTTY: true });
    const view = liveView(parts(stream, { CI: 'true' }));
    view.show(running);
    view.show(running);
    expect(stream.text).not.toContain('\u001B');
  });

  it('does not repeat the steps when a worker is back', () => {
    const stream = screen({});
    const view = liveView(parts(stream));
    const { status: _, ...silent } = { ...running, statusUnavailable: 'no worker answers' };
    view.show(running);
    view.show(silent);
    view.show(running);
    expect(stream.text.split('\n').filter((line) => line.includes('Stop the instance'))).toHaveLength(1);
    expect(stream.text).toContain('Z no live status: no worker answers\n');
    expect(stream.text).toContain('Z live status is back\n');
  });

  it('shows the last changes at the end', () => {
    const stream = screen({});
    const view = liveView(parts(stream));
    view.show(running);
    view.end(endedView({ result: sampleResult() }));
    expect(stream.text).toContain('✔ step 2: Reset the disk to snapshot A');
  });
});

it('cuts by columns, wide characters counted as two', () => {
  expect(clip('abcdef', 6)).toBe('abcdef');
  expect(clip('abcdef', 5)).toBe('abcde');
  expect(clip('快照快照', 5)).toBe('快照');
  expect(clip('\u001B[31mabc\u001B[39m', 3)).toBe('\u001B[31mabc\u001B[39m');
  expect(clip('\u001B[31mabcd\u001B[39m', 3)).toBe('abc');
});
