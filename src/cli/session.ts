/**
 * What all commands share: the connection, the ways to print, and the exit code of an error. Data goes to stdout,
 * everything else to stderr; every way out of a command is an `ExitCode`, a `UsageError` or a `ClientError`.
 */
import { ClientError, type ConnectOptions, RollbackClient } from '../client.ts';
import { EXIT, type ExitCode, exitCodeOfClientError } from './exit-codes.ts';
import { type OutputStream, oneLine, plainPunctuation, type Style, styleFor, type Surroundings } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/** Of every JSON document; raised when a field changes its meaning or goes away. */
export const SCHEMA_VERSION = 1;

export interface CommonFlags {
  readonly output: 'text' | 'json';
  readonly color: boolean;
  readonly address?: string;
  readonly namespace?: string;
  readonly profile?: string;
  readonly taskQueue?: string;
}

export interface Context {
  readonly world: Surroundings;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
}

export async function withClient(
  flags: CommonFlags,
  body: (client: RollbackClient) => Promise<ExitCode>,
): Promise<ExitCode> {
  const options: ConnectOptions = {
    ...(flags.taskQueue === undefined ? {} : { taskQueue: flags.taskQueue }),
    ...(flags.address === undefined ? {} : { address: flags.address }),
    ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
    ...(flags.profile === undefined ? {} : { profile: flags.profile }),
  };
  const client = await RollbackClient.connect(options);
  try {
    return await body(client);
  } finally {
    await client.close().catch(() => undefined);
  }
}

export function json(stream: OutputStream, document: Record<string, unknown>): void {
  stream.write(`${JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...document }, null, 2)}\n`);
}

export function jsonLine(stream: OutputStream, document: Record<string, unknown>): void {
  stream.write(`${JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...document })}\n`);
}

export function line(style: Style, text: string): string {
  return style.utf8 ? text : plainPunctuation(text);
}

/** Says what went wrong, on stderr and with `-o json` on stdout, too. Returns the exit code it was given. */
export function sayFailure(
  context: Context,
  flags: CommonFlags,
  exitCode: ExitCode,
  kind: string,
  message: string,
): ExitCode {
  const { world } = context;
  if (flags.output === 'json') json(world.stdout, { exitCode, error: { kind, message } });
  const style = styleFor(world.stderr, world, flags.color);
  const prefix = exitCode === EXIT.interrupted ? '' : `${style.color.red('error:')} `;
  world.stderr.write(`${prefix}${line(style, message)}\n`);
  return exitCode;
}

/** The exit code of an error no command handles, after saying it in one line. */
export function sayError(world: Surroundings, flags: { output?: string; color?: boolean }, error: unknown): ExitCode {
  const style = styleFor(world.stderr, world, flags.color !== false);
  const { exitCode, kind, lines } = describeError(error);
  if (flags.output === 'json') json(world.stdout, { exitCode, error: { kind, message: lines.join('\n') } });
  for (const text of lines) world.stderr.write(`${style.color.red('error:')} ${line(style, text)}\n`);
  if (world.env.ECS_ROLLBACK_DEBUG === '1') {
    world.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  } else if (kind === 'internal') {
    world.stderr.write('set ECS_ROLLBACK_DEBUG=1 to see where this comes from\n');
  }
  return exitCode;
}

function describeError(error: unknown): { exitCode: ExitCode; kind: string; lines: readonly string[] } {
  if (error instanceof UsageError) return { exitCode: EXIT.usage, kind: 'usage', lines: error.lines };
  if (error instanceof ClientError) {
    return { exitCode: exitCodeOfClientError(error.kind), kind: error.kind, lines: [oneLine(error.message)] };
  }
  const text = error instanceof Error ? error.message : String(error);
  return { exitCode: EXIT.runFailed, kind: 'internal', lines: [oneLine(text.split('\n')[0] ?? '')] };
}
