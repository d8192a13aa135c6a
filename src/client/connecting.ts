/** Finding out quickly, and saying in one line, that Temporal cannot be reached. */
import { whyUnreachable } from '../temporal-address.ts';
import { ClientError, GRPC, grpcCode, grpcError, messageOf } from './errors.ts';

/** Settles with `main`, but rejects at once when `probe` does. */
export async function firstFailure(main: Promise<void>, probe: Promise<void>): Promise<void> {
  const failed = new Promise<never>((_resolve, reject) => {
    probe.catch(reject);
  });
  main.catch(() => undefined);
  await Promise.race([main, failed]);
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
  return new ClientError(
    'unreachable',
    `no Temporal server at ${address} (${whyUnreachable(cause)}): set TEMPORAL_ADDRESS=host:port, or start one with \`temporal server start-dev\``,
    { cause },
  );
}
