/**
 * Turns the flat wire parameters of a call into typed values, by the action table. Everything that the table does not know
 * is refused by name: a misspelt or unmodelled parameter must never pass in silence.
 */
import { createHash } from 'node:crypto';
import { actionTable, type ActionName, type ActionShape } from '../api/action-table.ts';
import { ApiError, invalidParameter, missingParameter } from './api-error.ts';

/** Sent by some SDKs and CLIs with every call; part of the gateway, not of the action. */
const gatewayParameters = new Set(
  (
    'Action Version Format Timestamp Signature SignatureMethod SignatureNonce SignatureVersion SignatureType AccessKeyId ' +
    'SecurityToken OwnerId OwnerAccount ResourceOwnerId ResourceOwnerAccount SourceRegionId'
  ).split(' '),
);

type Struct = Readonly<Record<string, string>>;
type Value = string | number | boolean | readonly string[] | readonly Struct[];

export type ParameterFate = 'modelled' | 'ignored' | 'refused';

export interface ParameterSpec {
  readonly type: 'text' | 'integer' | 'boolean' | 'list' | 'structs' | 'map';
  /** Field names of `structs`. */
  readonly fields: readonly string[];
  readonly fate: ParameterFate;
  readonly why: string;
}

/** Reads one line of the action table. */
export function parameterSpec(line: string): ParameterSpec {
  const [shape = '', note] = line.split(' | ');
  const [type, ...fields] = shape.split(' ');
  const [fate, why] = note === undefined ? ['modelled', ''] : [note.slice(0, 7), note.slice(9)];
  return { type: type as ParameterSpec['type'], fields, fate: fate as ParameterFate, why };
}

export const shapeOf = (action: ActionName): ActionShape => actionTable[action];

export const isAction = (name: string): name is ActionName => Object.hasOwn(actionTable, name);

/** The typed parameters of one call. Reading a name that the table does not list as modelled is a defect and throws. */
export class Parameters {
  readonly action: ActionName;
  private readonly values: ReadonlyMap<string, Value>;
  private readonly specs: ReadonlyMap<string, ParameterSpec>;

  private constructor(
    action: ActionName,
    values: ReadonlyMap<string, Value>,
    specs: ReadonlyMap<string, ParameterSpec>,
  ) {
    this.action = action;
    this.values = values;
    this.specs = specs;
  }

  /** Throws `ApiError` for unknown, refused, mistyped and missing parameters. */
  static parse(action: ActionName, wire: ReadonlyMap<string, string>): Parameters {
    const shape = shapeOf(action);
    const specs = new Map(Object.entries(shape.parameters).map(([name, line]) => [name, parameterSpec(line)]));
    const scalars = new Map<string, Value>();
    const lists = new Map<string, Map<number, string | Record<string, string>>>();
    for (const [name, text] of wire) {
      const [base = '', index, field, ...rest] = name.split('.');
      const spec = specs.get(base);
      if (spec === undefined) {
        if (name === 'RegionId' || gatewayParameters.has(name)) {
          if (name === 'RegionId') scalars.set(name, text);
          continue;
        }
        throw new ApiError('UnsupportedParameter', 400, `${action} has no parameter "${name}".`);
      }
      if (spec.fate === 'refused') {
        throw new ApiError('UnsupportedParameter', 400, `Parameter "${name}" of ${action}: ${spec.why}.`);
      }
      if (spec.type === 'list' || spec.type === 'structs') {
        const position = Number(index);
        const fits = spec.type === 'list' ? field === undefined : field !== undefined && spec.fields.includes(field);
        if (index === undefined || !/^[1-9]\d{0,3}$/.test(index) || !fits || rest.length > 0) {
          const wanted = spec.type === 'list' ? `${base}.1` : spec.fields.map((f) => `${base}.1.${f}`).join(' and ');
          throw invalidParameter(name, `${base} is a list, to be sent as ${wanted}`);
        }
        const entries = lists.get(base) ?? new Map<number, string | Record<string, string>>();
        lists.set(base, entries);
        if (field === undefined) entries.set(position, text);
        else entries.set(position, { ...(entries.get(position) as Record<string, string> | undefined), [field]: text });
        continue;
      }
      if (index !== undefined) throw invalidParameter(name, `${base} is a single value, not a list`);
      const value = typed(name, text, spec);
      if (value !== undefined) scalars.set(name, value);
    }
    for (const [name, entries] of lists) {
      const values = [...entries].sort((a, b) => a[0] - b[0]).map(([, value]) => value);
      scalars.set(name, values as readonly string[] | readonly Struct[]);
    }
    for (const name of shape.required) {
      const value = scalars.get(name);
      if (value === undefined || value === '') throw missing(action, name);
    }
    return new Parameters(action, scalars, specs);
  }

  has(name: string): boolean {
    return this.values.has(name);
  }

  text(name: string): string | undefined {
    const value = this.read(name, 'text', 'map');
    return value === undefined || value === '' ? undefined : (value as string);
  }

  /** Even an empty text counts: `DiskIds=` is not the same as no DiskIds. */
  rawText(name: string): string | undefined {
    return this.read(name, 'text') as string | undefined;
  }

  need(name: string): string {
    const value = this.text(name);
    if (value === undefined) throw missing(this.action, name);
    return value;
  }

  integer(name: string, range?: { min: number; max: number; code?: string }): number | undefined {
    const value = this.read(name, 'integer') as number | undefined;
    if (value !== undefined && range !== undefined && (value < range.min || value > range.max)) {
      throw invalidParameter(name, `${value} is not between ${range.min} and ${range.max}`, range.code);
    }
    return value;
  }

  boolean(name: string): boolean | undefined {
    return this.read(name, 'boolean') as boolean | undefined;
  }

  list(name: string): readonly string[] {
    return (this.read(name, 'list') as readonly string[] | undefined) ?? [];
  }

  structs(name: string): readonly Struct[] {
    return (this.read(name, 'structs') as readonly Struct[] | undefined) ?? [];
  }

  /** A text that holds a JSON array of texts, such as `DiskIds`; undefined when the caller did not send it. */
  jsonList(
    name: string,
    limit: number,
    codes: { notJson: ApiError; tooMany: ApiError },
  ): readonly string[] | undefined {
    const text = this.rawText(name);
    if (text === undefined) return undefined;
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      throw codes.notJson;
    }
    if (!Array.isArray(parsed) || parsed.some((id) => typeof id !== 'string')) throw codes.notJson;
    if (parsed.length > limit) throw codes.tooMany;
    return parsed as string[];
  }

  /** Identifies the request's content for ClientToken comparison and page tokens. */
  fingerprint(except: readonly string[]): string {
    const entries = [...this.values].filter(([name]) => !except.includes(name)).sort((a, b) => (a[0] < b[0] ? -1 : 1));
    return createHash('sha256').update(JSON.stringify(entries)).digest('base64');
  }

  private read(name: string, ...types: ParameterSpec['type'][]): Value | undefined {
    const spec = this.specs.get(name);
    if (spec === undefined ? name !== 'RegionId' : spec.fate !== 'modelled' || !types.includes(spec.type)) {
      throw new Error(`${this.action}.${name} is read as ${types.join('/')}, which the action table does not list`);
    }
    return this.values.get(name);
  }
}

function missing(action: ActionName, name: string): ApiError {
  // The service's own spelling for this action.
  if (action === 'DescribeDisks' && name === 'RegionId') {
    return new ApiError('MissingParamter.RegionId', 400, 'The input parameter "RegionId" must be specified.');
  }
  if (name === 'InstanceId' && (action === 'RunCommand' || action === 'SendFile')) {
    return new ApiError('MissingParam.InstanceId', 400, 'The parameter "InstanceId" is not supplied.');
  }
  return missingParameter(name);
}

function typed(name: string, text: string, spec: ParameterSpec): Value | undefined {
  if (spec.type === 'integer') {
    if (text === '') return undefined;
    if (!/^-?\d{1,15}$/.test(text)) throw invalidParameter(name, 'it must be a whole number');
    return Number(text);
  }
  if (spec.type === 'boolean') {
    if (text === '') return undefined;
    if (!/^(true|false)$/i.test(text)) throw invalidParameter(name, 'it must be true or false');
    return text.toLowerCase() === 'true';
  }
  return text;
}
