/** Whether anything listens where Temporal should be: known long before gRPC gives up, and said in words. */
import { connect as connectTcp } from 'node:net';

/**
 * Rejects when nothing listens at the address; resolves in any other case. Says nothing where a proxy does the dialling.
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

/** What is wrong, of an error of `probeTcp` or of a connection that failed where something listens. */
export function whyUnreachable(cause: unknown): string {
  const { code } = cause as { code?: unknown };
  if (code === 'ECONNREFUSED') return 'nothing listens there';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the name does not resolve';
  return typeof code === 'string' ? code : 'it does not answer as Temporal does; is TLS needed, or not?';
}
