/** Shows a run while it goes on: one block redrawn in place on a terminal, one timestamped line per change elsewhere. */
import { stripVTControlCharacters } from 'node:util';
import type { RunView } from '../client.ts';
import { type Typed, waitingKind } from './next-commands.ts';
import { statusText, transitions } from './status-text.ts';
import { type OutputStream, type Style, wantsAnimation } from './terminal.ts';

export interface LiveView {
  show(view: RunView): void;
  /** A remark above the block. */
  note(text: string): void;
  /** The last call: shows what has changed up to the run's end, and takes the block off the screen. */
  end(view: RunView | undefined): void;
}

interface Parts {
  readonly stream: OutputStream;
  readonly style: Style;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly typed: Typed;
  readonly now: () => number;
}

/** Rings a terminal's bell when the run begins to need somebody: whoever watches at night looks elsewhere. */
export function liveView(parts: Parts): LiveView {
  const view = wantsAnimation(parts.stream, parts.env) ? redrawn(parts) : lineByLine(parts);
  let before: string | undefined;
  return {
    ...view,
    show(seen) {
      view.show(seen);
      const kind = waitingKind(seen);
      const needed = kind === 'operator' || kind === 'approval';
      if (needed && kind !== before && parts.stream.isTTY === true) parts.stream.write('\u0007');
      before = kind;
    },
  };
}

function lineByLine({ stream, style, typed, now }: Parts): LiveView {
  let before: RunView | undefined;
  const stamp = () => new Date(now()).toISOString().slice(0, 19).replace('T', ' ');
  const show = (view: RunView) => {
    for (const line of transitions(before, view, { style, now: now(), typed })) stream.write(`${stamp()}Z ${line}\n`);
    // A worker that does not answer for a while must not make all steps look new when it is back.
    const status = view.status ?? before?.status;
    before = status === undefined ? view : { ...view, status };
  };
  return {
    show,
    note(text) {
      stream.write(`${stamp()}Z ${text}\n`);
    },
    end(view) {
      if (view !== undefined) show(view);
    },
  };
}

function redrawn({ stream, style, typed, now }: Parts): LiveView {
  let height = 0;
  const erase = () => {
    // Up to the block's first line, then clear to the end of the screen; what scrolled by above stays.
    if (height > 0) stream.write(`\u001B[${height}A\r\u001B[J`);
    height = 0;
  };
  return {
    show(view) {
      const columns = stream.columns ?? 80;
      const rows = stream.rows ?? 24;
      const lines = statusText(view, { style, now: now(), typed })
        .split('\n')
        .map((line) => clip(line, columns - 1));
      // A block taller than the screen cannot be moved back over: its end, with what to type next, matters more.
      const fitting = lines.length < rows ? lines : [lines[0] ?? '', ...lines.slice(-(rows - 2))];
      erase();
      stream.write(`${fitting.join('\n')}\n`);
      height = fitting.length;
    },
    note(text) {
      erase();
      stream.write(`${text}\n`);
    },
    end: erase,
  };
}

/** Cuts to a width; a line that wraps would make the cursor's way back too short. Drops the colours of a line it cuts. */
export function clip(line: string, width: number): string {
  const plain = stripVTControlCharacters(line);
  if (columnsOf(plain) <= width) return line;
  let used = 0;
  let cut = '';
  for (const character of plain) {
    used += columnsOf(character);
    if (used > width) break;
    cut += character;
  }
  return cut;
}

/** Chinese, Japanese and Korean characters and emoji take two columns. */
function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) {
    columns +=
      /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|\p{Emoji_Presentation}/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return columns;
}
