/** Cloud Assistant: run commands and send files through the data plane, with the service's limits and life cycle on top. */
import { AgentUnavailable } from '../data-plane/port.ts';
import type { Region } from '../engine/region.ts';
import { ApiError, invalidParameter } from '../protocol/api-error.ts';
import { type InvocationResult, type InvocationState, isoSeconds, type ResultStatus } from '../state/model.ts';
import { type Call, findInstance, type Handler, matchesName, matchesTags, oneOf, tagsOf, wireTags } from './call.ts';
import { page } from './paging.ts';

const KiB = 1024;
const outputLimit = 24 * KiB;
/** With a real guest the agent needs real time, however fast the simulated clock runs. */
const leastDeliveryMs = 60_000;

/** Ends of scripts that run now, to be aborted by StopInvocation; by invocation and instance. */
const running = new WeakMap<Region, Map<string, AbortController>>();

function controllersOf(region: Region): Map<string, AbortController> {
  const found = running.get(region) ?? new Map<string, AbortController>();
  running.set(region, found);
  return found;
}

const unfinished = (result: InvocationResult): boolean =>
  result.status === 'Pending' || result.status === 'Running' || result.status === 'Stopping';

function finishTimedOut(invocation: InvocationState, result: InvocationResult): void {
  finish(
    result,
    'Timeout',
    'ExecutionTimeout',
    `The execution exceeded its timeout of ${invocation.timeoutSeconds} s.`,
  );
}

function finish(result: InvocationResult, status: ResultStatus, errorCode = '', errorInfo = ''): void {
  result.status = status;
  result.errorCode = errorCode;
  result.errorInfo = errorInfo;
  const now = isoSeconds(Date.now());
  result.finishedAt = now;
  if (result.startedAt === '') result.startedAt = now;
}

/** Keeps 24 KB of an output and counts what was thrown away. */
export function cutOutput(region: Pick<Region, 'world'>, output: Buffer): { kept: Buffer; dropped: number } {
  const dropped = output.length - outputLimit;
  if (dropped <= 0) return { kept: output, dropped: 0 };
  const half = outputLimit / 2;
  const { outputKept } = region.world.switches;
  if (outputKept === 'head') return { kept: output.subarray(0, outputLimit), dropped };
  if (outputKept === 'tail') return { kept: output.subarray(dropped), dropped };
  return { kept: Buffer.concat([output.subarray(0, half), output.subarray(output.length - half)]), dropped };
}

/** Replaces `{{name}}`; names are matched without regard to case. */
export function substitute(script: string, values: Readonly<Record<string, string>>): string {
  const byName = new Map(Object.entries(values).map(([name, value]) => [name.toLowerCase(), value]));
  return script.replace(/\{\{\s*([A-Za-z0-9_-]{1,64})\s*\}\}/g, (_all, name: string) => {
    const value = byName.get(name.toLowerCase());
    if (value === undefined) {
      throw new ApiError('Parameter.MissingValue', 400, `The script's parameter "${name}" has no value.`);
    }
    return value;
  });
}

function scriptOf(invocation: InvocationState): Buffer {
  const script = Buffer.from(invocation.content, 'base64');
  if (invocation.parameters === '') return script;
  return Buffer.from(substitute(script.toString(), JSON.parse(invocation.parameters) as Record<string, string>));
}

/** Waits for the agent, runs the script or writes the file, and records the end. Never rejects but by a defect. */
async function deliver(region: Region, invocation: InvocationState, result: InvocationResult): Promise<void> {
  const key = `${invocation.id}/${result.instanceId}`;
  const controller = new AbortController();
  controllersOf(region).set(key, controller);
  const floor = region.dataPlane.kind === 'none' ? 0 : leastDeliveryMs * region.clock.speed;
  const deadline = region.clock.now() + Math.max(floor, region.seconds('deliveryLimit'));
  try {
    while (!region.closed.aborted) {
      const instance = region.world.instances[result.instanceId];
      if (controller.signal.aborted) {
        finish(result, 'Cancelled', '', 'The invocation was stopped before it was delivered.');
        break;
      }
      if (instance === undefined) {
        finish(result, 'Error', 'InstanceReleased', 'The instance was released.');
        break;
      }
      if (instance.status !== 'Running') {
        finish(result, 'Error', 'InstanceNotRunning', 'The instance is not running.');
        break;
      }
      if (region.agentOnline(instance) && (await attempt(region, invocation, result, controller.signal))) break;
      if (region.clock.now() >= deadline) {
        finish(result, 'Aborted', 'DeliveryTimeout', 'The instance did not accept the command within one minute.');
        break;
      }
      const pause = Math.min(1000, Math.max(5, 1000 / region.clock.speed));
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  } finally {
    controllersOf(region).delete(key);
  }
  if (region.closed.aborted) return;
  const instance = region.world.instances[result.instanceId];
  if (instance !== undefined) {
    instance.invocationCount += 1;
    instance.lastInvokedAt = result.finishedAt;
  }
  if (!invocation.results.some(unfinished)) region.store.isOver(invocation);
  await region.store.save();
}

/** True when the result is final; false when the script did not run and may be delivered later. */
async function attempt(
  region: Region,
  invocation: InvocationState,
  result: InvocationResult,
  signal: AbortSignal,
): Promise<boolean> {
  result.status = 'Running';
  result.startedAt = isoSeconds(Date.now());
  // On disk first: after a crash a script that may have run must not be run again.
  await region.store.save();
  try {
    if (region.dataPlane.kind === 'none') await answerWithoutGuest(region, invocation, result, signal);
    else if (invocation.file === null) await runScript(region, invocation, result, signal);
    else await writeFile(region, invocation, result);
  } catch (error) {
    if (region.closed.aborted) return true;
    if (error instanceof AgentUnavailable) {
      result.status = 'Pending';
      result.startedAt = '';
      return false;
    }
    const why = error instanceof Error ? error.message : String(error);
    finish(result, 'Error', 'ExecutionInterrupted', `The execution was interrupted: ${why}`);
  }
  if (signal.aborted) {
    result.stoppedAt = isoSeconds(Date.now());
    finish(result, 'Terminated', 'ExecutionInterrupted', 'The invocation was stopped.');
  }
  return true;
}

async function runScript(
  region: Region,
  invocation: InvocationState,
  result: InvocationResult,
  signal: AbortSignal,
): Promise<void> {
  const execution = region.dataPlane.exec(
    result.instanceId,
    {
      script: scriptOf(invocation),
      timeoutMs: invocation.timeoutSeconds * 1000,
      workingDir: invocation.workingDir,
      user: invocation.username,
    },
    signal,
  );
  const done = await region.inGuest(result.instanceId, execution);
  const { kept, dropped } = cutOutput(region, done.output);
  result.output = kept.toString('base64');
  result.dropped = dropped;
  if (done.timedOut) {
    finishTimedOut(invocation, result);
    return;
  }
  const refusal = done.exitCode === 125 ? guestRefusal(invocation, done.output.toString()) : undefined;
  if (refusal !== undefined) {
    finish(result, 'Error', refusal, done.output.toString().trim());
    return;
  }
  result.exitCode = done.exitCode;
  if (done.exitCode === 0) finish(result, 'Success');
  else finish(result, 'Failed', 'ExitCodeNonzero', `The script ended with exit code ${done.exitCode}.`);
}

/** How the data planes say that the script was not started; a script's own exit code 125 is left alone. */
function guestRefusal(invocation: InvocationState, output: string): string | undefined {
  if (output.trim() === `user ${invocation.username} does not exist`) return 'AccountNotExists';
  if (output.includes(`cannot cd to ${invocation.workingDir}:`)) return 'DirectoryNotExists';
  return undefined;
}

async function writeFile(region: Region, invocation: InvocationState, result: InvocationResult): Promise<void> {
  const { file } = invocation;
  if (file === null) return;
  const sending = region.dataPlane.sendFile(result.instanceId, {
    path: `${file.targetDir.replace(/\/+$/, '')}/${invocation.name}`,
    content: Buffer.from(invocation.content, 'base64'),
    mode: file.mode,
    owner: file.owner,
    group: file.group,
    overwrite: file.overwrite,
  });
  const done = await region.inGuest(result.instanceId, sending);
  if (done.exitCode === 0) finish(result, 'Success');
  else finish(result, 'Failed', 'FileWriteFailed', done.message);
}

/** Data plane `none`: says that nothing was executed, unless a test has set an answer for this script. */
async function answerWithoutGuest(
  region: Region,
  invocation: InvocationState,
  result: InvocationResult,
  signal: AbortSignal,
): Promise<void> {
  const text = scriptOf(invocation).toString();
  const answer = region.world.guestAnswers.find(
    (candidate) =>
      candidate.times !== 0 &&
      (candidate.instanceId === '' || candidate.instanceId === result.instanceId) &&
      text.includes(candidate.contains),
  );
  if (answer === undefined) {
    finish(
      result,
      'Error',
      'ExecutionException',
      'Not executed: the simulator runs with data plane "none", which has no guests.',
    );
    return;
  }
  if (answer.times > 0) answer.times -= 1;
  if (answer.delayMs > 0) {
    const timeoutMs = invocation.timeoutSeconds * 1000;
    const end = region.clock.until(region.clock.now() + Math.min(answer.delayMs, timeoutMs), signal);
    await region.inGuest(
      result.instanceId,
      end.catch(() => undefined),
    );
    if (signal.aborted) return;
    if (answer.delayMs > timeoutMs) {
      finishTimedOut(invocation, result);
      return;
    }
  }
  const { kept, dropped } = cutOutput(region, Buffer.from(answer.output));
  result.output = kept.toString('base64');
  result.dropped = dropped;
  result.exitCode = answer.exitCode;
  if (answer.exitCode === 0) finish(result, 'Success');
  else finish(result, 'Failed', 'ExitCodeNonzero', `The script ended with exit code ${answer.exitCode}.`);
}

const invocationsKept = 1_000;

/** The service keeps 10,000 records for 30 days; this many keep the state file small. */
function forgetOldInvocations(region: Region): void {
  const all = Object.values(region.world.invocations);
  for (const old of all.slice(0, Math.max(0, all.length - invocationsKept))) {
    if (!old.results.some(unfinished)) delete region.world.invocations[old.id];
  }
}

function launch(region: Region, invocation: InvocationState): void {
  for (const result of invocation.results) {
    if (result.status !== 'Pending') continue;
    region.inBackground(`invocation ${invocation.id}`, () => deliver(region, invocation, result));
  }
}

/** After a restart: what ran was cut off, what waited is delivered now. */
export function resumeInvocations(region: Region): void {
  for (const invocation of Object.values(region.world.invocations)) {
    for (const result of invocation.results) {
      if (result.status === 'Running' || result.status === 'Stopping') {
        finish(result, 'Error', 'ExecutionInterrupted', 'The instance went down while the script ran.');
      }
    }
    launch(region, invocation);
  }
}

function targets(call: Call, limit: number, code: string): string[] {
  const ids = [...call.p.list('InstanceId')];
  if (ids.length === 0)
    throw new ApiError('MissingParam.InstanceId', 400, 'The parameter "InstanceId" is not supplied.');
  if (ids.length > limit) throw new ApiError(code, 403, `At most ${limit} instances can be given.`);
  for (const id of ids) {
    const instance = call.region.world.instances[id];
    if (instance === undefined) {
      throw new ApiError('InvalidInstance.NotFound', 404, `The specified instance "${id}" does not exist.`);
    }
    if (instance.status !== 'Running' && call.region.world.switches.runCommandOnStoppedInstance === 'refuse') {
      throw new ApiError('IncorrectInstanceStatus', 403, `Instance "${id}" is ${instance.status}, not Running.`);
    }
  }
  return ids;
}

const newResult = (instanceId: string): InvocationResult => ({
  instanceId,
  status: 'Pending',
  exitCode: null,
  errorCode: '',
  errorInfo: '',
  output: '',
  dropped: 0,
  createdAt: isoSeconds(Date.now()),
  startedAt: '',
  finishedAt: '',
  stoppedAt: '',
});

/** Strict Base64: what a lenient decoder would skip is refused. */
function decodeBase64(text: string, code: string, status: number): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64').replace(/=+$/, '') !== text.replace(/\s/g, '').replace(/=+$/, '')) {
    throw new ApiError(code, status, 'The specified content is not valid Base64.');
  }
  return bytes;
}

/** The values of `Parameters` when EnableParameter is set; empty text when the script takes none. */
function parametersOf(call: Call, script: string): string {
  const { p } = call;
  const text = p.text('Parameters');
  if (p.boolean('EnableParameter') !== true) {
    if (text !== undefined && text !== '{}') {
      throw new ApiError('Parameter.Disabled', 400, 'Parameters are given, but EnableParameter is not true.');
    }
    return '';
  }
  let values: unknown;
  try {
    values = JSON.parse(text ?? '{}');
  } catch {
    values = undefined;
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    throw new ApiError(
      'InvalidParameter.Parameters',
      400,
      'The specified parameter "Parameters" is not a JSON object.',
    );
  }
  const entries = Object.entries(values).map(([name, value]) => [name, String(value)] as const);
  if (entries.length > 10)
    throw new ApiError('ParameterCount.ExceedLimit', 403, 'At most 10 parameters can be passed.');
  for (const [name] of entries) {
    if (name === '') throw new ApiError('CmdParam.EmptyKey', 400, 'A parameter has an empty name.');
    if (name.length > 64) throw new ApiError('ParameterKey.ExceedLimit', 403, 'A parameter name exceeds 64 bytes.');
    if (!/^[A-Za-z0-9_-]+$/.test(name)) {
      throw new ApiError('CmdParam.InvalidParamName', 400, `The parameter name "${name}" is not valid.`);
    }
  }
  if (new Set(entries.map(([name]) => name.toLowerCase())).size < entries.length) {
    throw new ApiError('ParameterKey.Duplicate', 403, 'A parameter name is used more than once.');
  }
  substitute(script, Object.fromEntries(entries));
  return JSON.stringify(Object.fromEntries(entries));
}

const commandTypes = ['RunShellScript', 'RunBatScript', 'RunPowerShellScript'] as const;

const runCommand: Handler = (call) => {
  const { p, region } = call;
  const type = oneOf(call, 'Type', commandTypes, 'InvalidCmdType.NotFound', 404) ?? 'RunShellScript';
  const sent = p.need('CommandContent');
  // An encoding that the service does not know counts as plain text.
  const base64 = p.text('ContentEncoding') === 'Base64';
  const script = base64 ? decodeBase64(sent, 'CmdContent.DecodeError', 400) : Buffer.from(sent);
  const keep = p.boolean('KeepCommand') ?? false;
  const limit = (keep ? 18 : 24) * KiB;
  const parametersText = p.text('Parameters') ?? '';
  if (Math.ceil(script.length / 3) * 4 + parametersText.length > limit) {
    throw new ApiError(
      'CmdContent.ExceedLimit',
      403,
      `The command content and its parameters exceed ${limit / KiB} KB after Base64.`,
    );
  }
  const workingDir = p.text('WorkingDir') ?? '';
  if (workingDir.length > 200)
    throw invalidParameter('WorkingDir', 'at most 200 characters', 'InvalidParameter.WorkingDir');
  const windows = type !== 'RunShellScript';
  const username = p.text('Username') ?? (windows ? 'System' : 'root');
  if (username.length > 255) throw new ApiError('Username.ExceedLimit', 403, 'The user name exceeds 255 characters.');
  const name = p.text('Name') ?? '';
  if (name.length > 128) throw invalidParameter('Name', 'at most 128 characters');
  const description = p.text('Description') ?? '';
  if (description.length > 512) throw invalidParameter('Description', 'at most 512 characters');
  const repeat = oneOf(
    call,
    'RepeatMode',
    ['Once', 'Period', 'NextRebootOnly', 'EveryReboot', 'DryRun'],
    'InvalidRepeatMode.NotFound',
    404,
  );
  if (repeat !== undefined && repeat !== 'Once' && repeat !== 'DryRun') {
    throw new ApiError('UnsupportedParameter', 400, `RepeatMode ${repeat} is not modelled; only Once and DryRun are.`);
  }
  const timeout = p.integer('Timeout', { min: 0, max: 86_400 }) ?? 60;
  const parameters = parametersOf(call, script.toString());
  const tags = tagsOf(call, 20, 64);
  const ids = targets(call, 100, 'InstanceIds.ExceedLimit');
  for (const id of ids) {
    if ((findInstance(call, id).osType === 'windows') !== windows) {
      throw new ApiError('InvalidInstance.NotMatch', 400, `Command type ${type} does not fit the system of "${id}".`);
    }
  }
  if (repeat === 'DryRun') return {};
  const invocation: InvocationState = {
    id: region.newId('t'),
    seq: region.nextSeq(),
    kind: 'command',
    commandId: region.newId('c'),
    name,
    description,
    content: script.toString('base64'),
    parameters,
    type,
    timeoutSeconds: Math.max(10, timeout),
    workingDir: workingDir === '' ? homeOf(username, windows) : workingDir,
    username,
    createdAt: isoSeconds(Date.now()),
    tags,
    results: ids.map(newResult),
    file: null,
  };
  call.effect();
  forgetOldInvocations(region);
  region.world.invocations[invocation.id] = invocation;
  launch(region, invocation);
  return { CommandId: invocation.commandId, InvokeId: invocation.id };
};

/** Where a command runs that names no folder. */
function homeOf(username: string, windows: boolean): string {
  if (windows) return String.raw`C:\Windows\System32`;
  return username === 'root' ? '/root' : `/home/${username}`;
}

const sendFile: Handler = (call) => {
  const { p, region } = call;
  const contentType =
    oneOf(call, 'ContentType', ['PlainText', 'Base64'], 'FileContentType.Invalid', 403) ?? 'PlainText';
  const sent = p.need('Content');
  const content = contentType === 'Base64' ? decodeBase64(sent, 'FileContent.DecodeError', 403) : Buffer.from(sent);
  if (Math.ceil(content.length / 3) * 4 > 32 * KiB) {
    throw new ApiError('FileSize.ExceedLimit', 403, 'The file exceeds 32 KB after Base64.');
  }
  const name = p.need('Name');
  if (name.length > 255 || name.includes('/')) {
    throw new ApiError('FileName.ExceedLimit', 403, 'A file name has at most 255 characters and no slash.');
  }
  const targetDir = p.need('TargetDir');
  if (!targetDir.startsWith('/')) {
    throw new ApiError('FileTargetDir.Invalid', 403, 'The target directory must be an absolute path.');
  }
  const mode = p.text('FileMode') ?? '0644';
  if (!/^0?[0-7]{3}$/.test(mode)) throw new ApiError('FileMode.Invalid', 403, `The file mode "${mode}" is not octal.`);
  const description = p.text('Description') ?? '';
  if (description.length > 512)
    throw new ApiError('FileDesc.ExceedLimit', 403, 'The description exceeds 512 characters.');
  const timeout = p.integer('Timeout', { min: 10, max: 86_400 }) ?? 60;
  const tags = tagsOf(call, 20, 64);
  const ids = targets(call, 50, 'InstanceIds.ExceedLimit');
  const invocation: InvocationState = {
    id: region.newId('f'),
    seq: region.nextSeq(),
    kind: 'file',
    commandId: '',
    name,
    description,
    content: content.toString('base64'),
    parameters: '',
    type: '',
    timeoutSeconds: timeout,
    workingDir: '',
    username: 'root',
    createdAt: isoSeconds(Date.now()),
    tags,
    results: ids.map(newResult),
    file: {
      targetDir,
      mode: mode.padStart(4, '0'),
      owner: p.text('FileOwner') ?? 'root',
      group: p.text('FileGroup') ?? 'root',
      overwrite: p.boolean('Overwrite') ?? false,
      contentType,
    },
  };
  call.effect();
  forgetOldInvocations(region);
  region.world.invocations[invocation.id] = invocation;
  launch(region, invocation);
  return { InvokeId: invocation.id };
};

const stopInvocation: Handler = (call) => {
  const { p, region } = call;
  const invocation = region.world.invocations[p.need('InvokeId')];
  if (invocation === undefined || invocation.kind !== 'command') {
    throw new ApiError('InvalidInvokeId.NotFound', 404, 'The specified InvokeId does not exist.');
  }
  const ids = p.list('InstanceId');
  if (ids.length > 50) throw new ApiError('InstanceIds.ExceedLimit', 403, 'At most 50 instances can be given.');
  for (const result of invocation.results) {
    if (!unfinished(result) || (ids.length > 0 && !ids.includes(result.instanceId))) continue;
    call.effect();
    if (result.status === 'Running') result.status = 'Stopping';
    controllersOf(region).get(`${invocation.id}/${result.instanceId}`)?.abort(new Error('stopped'));
  }
  return {};
};

/** The older status of one instance's record: `Finished` says nothing about the exit code. */
const recordStatus = (result: InvocationResult): string => recordStatuses[result.status];

const recordStatuses: Record<ResultStatus, string> = {
  Pending: 'Running',
  Running: 'Running',
  Success: 'Finished',
  Failed: 'Finished',
  Error: 'Failed',
  Timeout: 'Failed',
  Aborted: 'Failed',
  Cancelled: 'Stopped',
  Stopping: 'Stopping',
  Terminated: 'Stopped',
};

function aggregate(invocation: InvocationState): string {
  const of = (...wanted: ResultStatus[]): number =>
    invocation.results.filter((result) => wanted.includes(result.status)).length;
  const total = invocation.results.length;
  if (of('Stopping') > 0) return 'Stopping';
  if (of('Running') > 0) return 'Running';
  if (of('Pending') > 0) return of('Pending') === total ? 'Pending' : 'Running';
  if (of('Success') === total) return 'Success';
  if (of('Cancelled', 'Terminated') > 0) return 'Stopped';
  return of('Success') > 0 ? 'PartialFailed' : 'Failed';
}

/** The older aggregate: `Finished` when all records ended by themselves. */
function olderAggregate(invocation: InvocationState): string {
  const status = aggregate(invocation);
  if (status === 'Pending') return 'Running';
  if (status === 'Success') return 'Finished';
  if (status === 'Failed' && invocation.results.every((result) => result.status === 'Failed')) return 'Finished';
  return status;
}

const encoded = (call: Call, base64: string): string =>
  call.p.text('ContentEncoding') === 'PlainText' ? Buffer.from(base64, 'base64').toString() : base64;

function wireResult(result: InvocationResult): Record<string, unknown> {
  return {
    InstanceId: result.instanceId,
    InvocationStatus: result.status,
    ...(result.exitCode !== null && { ExitCode: result.exitCode }),
    ErrorCode: result.errorCode,
    ErrorInfo: result.errorInfo,
    Dropped: result.dropped,
    Repeats: result.startedAt === '' ? 0 : 1,
    StartTime: result.startedAt,
    StopTime: result.stoppedAt,
  };
}

const describeInvocationResults: Handler = (call) => {
  const { p, region } = call;
  const wanted = p.text('InvokeRecordStatus');
  const rows = Object.values(region.world.invocations)
    .filter(
      (invocation) =>
        invocation.kind === 'command' &&
        (!p.has('InvokeId') || invocation.id === p.text('InvokeId')) &&
        (!p.has('CommandId') || invocation.commandId === p.text('CommandId')) &&
        matchesTags(call, invocation.tags),
    )
    .flatMap((invocation) =>
      invocation.results.map((result, index) => ({ invocation, result, seq: invocation.seq + index / 1000 })),
    )
    .filter(
      ({ result }) =>
        (!p.has('InstanceId') || result.instanceId === p.text('InstanceId')) &&
        (wanted === undefined || wanted === recordStatus(result)),
    );
  const { rows: shown, fields } = page(call, rows, { pageSize: 50, maxResults: 50 });
  return {
    Invocation: {
      ...fields,
      InvocationResults: {
        InvocationResult: shown.map(({ invocation, result }) => ({
          ...wireResult(result),
          InvokeId: invocation.id,
          CommandId: invocation.commandId,
          InvokeRecordStatus: recordStatus(result),
          Output: encoded(call, result.output),
          FinishedTime: result.finishedAt,
          Username: invocation.username,
          ContainerId: '',
          ContainerName: '',
          Tags: wireTags(invocation.tags),
        })),
      },
    },
  };
};

const describeInvocations: Handler = (call) => {
  const { p, region } = call;
  const is = (name: string, has: string): boolean => !p.has(name) || p.text(name) === has;
  const rows = Object.values(region.world.invocations).filter(
    (invocation) =>
      invocation.kind === 'command' &&
      is('InvokeId', invocation.id) &&
      is('CommandId', invocation.commandId) &&
      matchesName(p.text('CommandName'), invocation.name) &&
      is('CommandType', invocation.type) &&
      is('RepeatMode', 'Once') &&
      is('InvokeStatus', olderAggregate(invocation)) &&
      (!p.has('InstanceId') || invocation.results.some((result) => result.instanceId === p.text('InstanceId'))) &&
      matchesTags(call, invocation.tags),
  );
  const { rows: shown, fields } = page(call, rows, { pageSize: 50, maxResults: 50 });
  const withOutput = p.boolean('IncludeOutput') ?? false;
  return {
    ...fields,
    Invocations: {
      Invocation: shown.map((invocation) => ({
        InvokeId: invocation.id,
        CommandId: invocation.commandId,
        CommandName: invocation.name,
        CommandDescription: invocation.description,
        CommandType: invocation.type,
        CommandContent: encoded(call, invocation.content),
        InvocationStatus: aggregate(invocation),
        InvokeStatus: olderAggregate(invocation),
        Parameters: invocation.parameters === '' ? '{}' : invocation.parameters,
        RepeatMode: 'Once',
        Frequency: '',
        Timed: false,
        Timeout: invocation.timeoutSeconds,
        Username: invocation.username,
        WorkingDir: invocation.workingDir,
        CreationTime: invocation.createdAt,
        Tags: wireTags(invocation.tags),
        InvokeInstances: {
          InvokeInstance: invocation.results.map((result) => ({
            ...wireResult(result),
            InstanceInvokeStatus: recordStatus(result),
            CreationTime: result.createdAt,
            UpdateTime: result.finishedAt === '' ? result.createdAt : result.finishedAt,
            FinishTime: result.finishedAt,
            Timed: false,
            ...(withOutput && { Output: encoded(call, result.output) }),
          })),
        },
      })),
    },
  };
};

const describeSendFileResults: Handler = (call) => {
  const { p, region } = call;
  const rows = Object.values(region.world.invocations).filter(
    (invocation) =>
      invocation.kind === 'file' &&
      (!p.has('InvokeId') || invocation.id === p.text('InvokeId')) &&
      matchesName(p.text('Name'), invocation.name) &&
      (!p.has('InvocationStatus') || p.text('InvocationStatus') === aggregate(invocation)) &&
      (!p.has('InstanceId') || invocation.results.some((result) => result.instanceId === p.text('InstanceId'))) &&
      matchesTags(call, invocation.tags),
  );
  const { rows: shown, fields } = page(call, rows, { pageSize: 50, maxResults: 50 });
  return {
    ...fields,
    Invocations: {
      Invocation: shown.map((invocation) => ({
        InvokeId: invocation.id,
        Name: invocation.name,
        Description: invocation.description,
        TargetDir: invocation.file?.targetDir,
        FileMode: invocation.file?.mode,
        FileOwner: invocation.file?.owner,
        FileGroup: invocation.file?.group,
        Overwrite: String(invocation.file?.overwrite ?? false),
        ContentType: invocation.file?.contentType,
        Content:
          invocation.file?.contentType === 'Base64'
            ? invocation.content
            : Buffer.from(invocation.content, 'base64').toString(),
        InvocationStatus: aggregate(invocation),
        VmCount: invocation.results.length,
        CreationTime: invocation.createdAt,
        Tags: wireTags(invocation.tags),
        InvokeInstances: {
          InvokeInstance: invocation.results.map((result) => ({
            InstanceId: result.instanceId,
            InvocationStatus: result.status,
            ErrorCode: result.errorCode,
            ErrorInfo: result.errorInfo,
            CreationTime: result.createdAt,
            StartTime: result.startedAt,
            FinishTime: result.finishedAt,
            UpdateTime: result.finishedAt === '' ? result.createdAt : result.finishedAt,
          })),
        },
      })),
    },
  };
};

const describeCloudAssistantStatus: Handler = (call) => {
  const { p, region } = call;
  const ids = p.list('InstanceId');
  if (ids.length > 100) throw new ApiError('InstanceIds.ExceedLimit', 403, 'At most 100 instances can be given.');
  const system = p.text('OSType')?.toLowerCase();
  const rows = Object.values(region.world.instances).filter(
    (instance) =>
      (ids.length === 0 || ids.includes(instance.id)) && (system === undefined || system === instance.osType),
  );
  const { rows: shown, fields } = page(call, rows, { pageSize: 50, maxResults: 50 });
  const active = Object.values(region.world.invocations).flatMap((invocation) => invocation.results.filter(unfinished));
  return {
    ...fields,
    InstanceCloudAssistantStatusSet: {
      InstanceCloudAssistantStatus: shown.map((instance) => ({
        InstanceId: instance.id,
        CloudAssistantStatus: String(region.agentOnline(instance)),
        CloudAssistantVersion: instance.agentInstalled ? '2.2.4.1012' : '',
        LastHeartbeatTime: instance.lastHeartbeat,
        OSType: instance.osType === 'linux' ? 'Linux' : 'Windows',
        InvocationCount: instance.invocationCount,
        ActiveTaskCount: active.filter((result) => result.instanceId === instance.id).length,
        LastInvokedTime: instance.lastInvokedAt,
        SupportSessionManager: false,
      })),
    },
  };
};

export const cloudAssistantActions = {
  RunCommand: runCommand,
  DescribeInvocations: describeInvocations,
  DescribeInvocationResults: describeInvocationResults,
  StopInvocation: stopInvocation,
  SendFile: sendFile,
  DescribeSendFileResults: describeSendFileResults,
  DescribeCloudAssistantStatus: describeCloudAssistantStatus,
};
