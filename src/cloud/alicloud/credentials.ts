/**
 * Where each call gets its credentials from. The vendor's default chain remembers the provider it tried last even when
 * that one failed, so a single failed lookup would pin a long-lived worker to a provider that has nothing. Here a chain
 * is thrown away after any failed lookup, kept while it delivers, and never asked twice at a time (a second lookup in
 * the middle of the first would be bound to the provider the first is just trying).
 */
import { CredentialsUnavailable } from './failures.ts';

export interface AccessKey {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  /** For temporary credentials (STS). */
  readonly securityToken?: string;
}

export interface CredentialSource {
  /** Rejects with `CredentialsUnavailable`. */
  lookup(): Promise<AccessKey & { readonly provider: string }>;
  /** A new lookup may bring other ones. */
  readonly renewable: boolean;
  /** The service refused them: look them up anew next time. */
  forget(): void;
  /** What must not appear in any message. */
  secrets(): readonly string[];
}

/** What is needed of the vendor's `Credential`. */
export interface CredentialChain {
  getCredential(): Promise<{
    accessKeyId?: string;
    accessKeySecret?: string;
    securityToken?: string;
    providerName?: string;
  }>;
}

const NONE_FOUND =
  'no Alibaba Cloud credentials found; set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, ' +
  'or give this machine an instance RAM role, an OIDC role or an aliyun CLI profile';

const secretsOf = (key: AccessKey | undefined): string[] =>
  key === undefined
    ? []
    : [key.accessKeyId, key.accessKeySecret, key.securityToken ?? ''].filter((value) => value !== '');

export function fixedCredentials(key: AccessKey): CredentialSource {
  const secrets = secretsOf(key);
  const answer = { ...key, provider: key.securityToken === undefined ? 'static_ak' : 'static_sts' };
  return { renewable: false, lookup: () => Promise.resolve(answer), forget: () => {}, secrets: () => secrets };
}

/**
 * @param open makes a new chain; called again after every failed lookup.
 * @param deadlineMs bound of one lookup: the chain asks the metadata service and others over the network.
 */
export function chainedCredentials(open: () => Promise<CredentialChain>, deadlineMs: number): CredentialSource {
  let chain: Promise<CredentialChain> | undefined;
  let pending: Promise<AccessKey & { readonly provider: string }> | undefined;
  let last: AccessKey | undefined;

  const forget = (): void => {
    chain = undefined;
  };
  const ask = async (): Promise<AccessKey & { readonly provider: string }> => {
    chain ??= open();
    const found = await withDeadline(
      chain.then((opened) => opened.getCredential()),
      deadlineMs,
    );
    const { accessKeyId, accessKeySecret, securityToken, providerName } = found;
    if (!accessKeyId || !accessKeySecret) throw new Error('an empty answer');
    const key = {
      accessKeyId,
      accessKeySecret,
      ...(securityToken ? { securityToken } : {}),
      provider: providerName ?? 'default',
    };
    last = key;
    return key;
  };
  return {
    renewable: true,
    lookup() {
      // The reasons of the single providers name files and addresses of the machine and help nobody; the fix does.
      pending ??= ask()
        .catch(() => {
          forget();
          throw new CredentialsUnavailable(NONE_FOUND, last !== undefined);
        })
        .finally(() => {
          pending = undefined;
        });
      return pending;
    },
    forget,
    secrets: () => secretsOf(last),
  };
}

async function withDeadline<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), milliseconds);
  });
  try {
    return await Promise.race([promise, expiry]);
  } finally {
    clearTimeout(timer);
  }
}
