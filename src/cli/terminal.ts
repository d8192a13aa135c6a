/** What the streams can show: colour, glyphs, width, prompts. Decided once per stream, from the environment alone. */
import { createColors } from 'picocolors';

export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** Everything of the process that the commands touch, so that tests can stand in for it. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: string;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** How the user calls this program, for the commands we print. */
  readonly self: string;
  /** Who is typing, as `user@host`: what the history shows unless a flag says otherwise. A name, not a proof. */
  readonly user: string;
  now(): number;
  /** How often to look at a run that is waited for. Default 1,000. */
  readonly pollMs?: number;
}

export interface Style {
  readonly color: ReturnType<typeof createColors>;
  readonly utf8: boolean;
}

type Env = Surroundings['env'];

const isSet = (value: string | undefined): value is string => value !== undefined && value !== '';

/** The flag beats FORCE_COLOR, which beats NO_COLOR (https://no-color.org: any non-empty value) and what the stream is. */
export function wantsColor(stream: { readonly isTTY?: boolean }, env: Env, flag: boolean): boolean {
  if (!flag) return false;
  if (isSet(env.FORCE_COLOR)) return env.FORCE_COLOR !== '0' && env.FORCE_COLOR !== 'false';
  if (isSet(env.NO_COLOR) || env.TERM === 'dumb' || isSet(env.CI)) return false;
  return stream.isTTY === true;
}

/** Whether to redraw in place; a log file or a CI console gets one line per transition. */
export function wantsAnimation(stream: { readonly isTTY?: boolean }, env: Env): boolean {
  return stream.isTTY === true && env.TERM !== 'dumb' && !isSet(env.CI);
}

export function speaksUtf8(env: Env, platform: string): boolean {
  const locale = [env.LC_ALL, env.LC_CTYPE, env.LANG].find(isSet);
  if (locale !== undefined) return /utf-?8/i.test(locale);
  return platform === 'darwin' || (platform === 'win32' && isSet(env.WT_SESSION));
}

export function styleFor(stream: OutputStream, world: Surroundings, colorFlag: boolean): Style {
  return {
    color: createColors(wantsColor(stream, world.env, colorFlag)),
    utf8: speaksUtf8(world.env, world.platform),
  };
}

/** Our punctuation for terminals that know ASCII only; text of others is left alone but for what we would garble. */
export function plainPunctuation(text: string): string {
  return text.replaceAll('…', '...').replaceAll(/[–—]/g, '-').replaceAll('→', '->').replaceAll('·', '-');
}

/**
 * Text from elsewhere (names, error messages) on one line and without control characters: an instance's name must not be
 * able to move the cursor or forge a line.
 */
export function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001F\u007F-\u009F\u2028\u2029]+/g, ' ').trim();
}
