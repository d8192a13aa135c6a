/**
 * The one place where the vendor's packages are loaded, and only when the first call is made: they take about a second.
 * All of them are CommonJS; a loader may hand out their exports with or without one more `default` around them.
 */
import type * as Core from '@alicloud/openapi-core';
import type * as Credentials from '@alicloud/credentials';
import type * as Dara from '@darabonba/typescript';
import type * as Ecs from '@alicloud/ecs20140526';

type ClientClass = typeof Ecs.default.default;
type CredentialClass = typeof Credentials.default.default;
export type EcsClient = InstanceType<ClientClass>;
export type Credential = InstanceType<CredentialClass>;
export type Runtime = InstanceType<typeof Dara.RuntimeOptions>;

export interface Sdk {
  readonly Client: ClientClass;
  readonly models: Omit<typeof Ecs, 'default'>;
  readonly Credential: CredentialClass;
  readonly CredentialModel: typeof Credentials.CredentialModel;
  readonly Config: typeof Core.$OpenApiUtil.Config;
  readonly RuntimeOptions: typeof Dara.RuntimeOptions;
}

let loading: Promise<Sdk> | undefined;

export function loadSdk(): Promise<Sdk> {
  loading ??= load();
  return loading;
}

async function load(): Promise<Sdk> {
  const [ecs, core, credentials, dara] = await Promise.all([
    import('@alicloud/ecs20140526'),
    import('@alicloud/openapi-core'),
    import('@alicloud/credentials'),
    import('@darabonba/typescript'),
  ]);
  return {
    Client: unwrap(ecs.default),
    models: ecs,
    Credential: unwrap(credentials.default),
    CredentialModel: credentials.CredentialModel,
    Config: core.$OpenApiUtil.Config,
    RuntimeOptions: dara.RuntimeOptions,
  };
}

function unwrap<T>(exported: { readonly default: T } | T): T {
  return typeof exported === 'function' ? exported : (exported as { readonly default: T }).default;
}
