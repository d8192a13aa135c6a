/** Finding out quickly, and saying in one line, that Temporal cannot be reached. */
import { connect as connectTcp } from 'node:net';
import { ClientError, GRPC, grpcCode, grpcError, messageOf } from './errors.ts';

/** Settles with `main`, but rejects at once when `probe` does. */
export async function firstFailure(main: Promise<void>, probe: Promise<void>): Promise<void> {
  const failed = new Promise<never>((_resolve, reject) => {
    probe.catch(reject);
  });
  main.catch(() => undefined);
  await Promise.race([main, failed]);
}

/**
 * Rejects when nothing listens at the address, long before gRPC gives up; resolves in any other case. Says nothing where
 * a proxy does the dialling.
 */
export function probeTcp(address: string, timeoutMs: number): Promise<void> {
  const proxied = ['grpc_proxy', 'https_proxy', 'http_proxy'].some((name) => (process.env[name] ?? '') !== '');
  const match = /^(?:dns:\/*)?\[?([^\]/]+?)\]?(?::(\d+))?$/.exec(address);
  const host = match?.[1];
  if (proxied || host === undefined) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port: Number(match?.[2] ?? 7233), timeout: timeoutMs });
    const settle = (then: () => void) => {
      socket.destroy();
      then();
    };
    socket.once('connect', () => settle(resolve));
    socket.once('timeout', () => settle(resolve));
    socket.once('error', (error) => settle(() => reject(error)));
  });
}

export function connectError(address: string, cause: unknown): ClientError {
  const code = grpcCode(cause);
  if (code === GRPC.unauthenticated || code === GRPC.permissionDenied) {
    return new ClientError(
      'denied',
      `Temporal at ${address} refuses the credentials (${messageOf(grpcError(cause))}): check TEMPORAL_API_KEY or the TLS client certificate`,
      { cause },
    );
  }
  const socketCode = (cause as { code?: unknown }).code;
  const why =
    socketCode === 'ECONNREFUSED'
      ? 'nothing listens there'
      : socketCode === 'ENOTFOUND' || socketCode === 'EAI_AGAIN'
        ? 'the name does not resolve'
        : typeof socketCode === 'string'
          ? socketCode
          : 'it does not answer as Temporal does; is TLS needed, or not?';
  return new ClientError(
    'unreachable',
    `no Temporal server at ${address} (${why}): set TEMPORAL_ADDRESS=host:port, or start one with \`temporal server start-dev\``,
    { cause },
  );
}
