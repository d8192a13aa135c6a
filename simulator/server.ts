/**
 * The HTTP front: API calls on every path but `/__sim/`. A call is authenticated, parsed by the action table, run as one
 * atomic step, written down, and only then answered.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { handlers } from './actions/index.ts';
import { handleControl } from './control.ts';
import { type CallLog, loggable } from './engine/call-log.ts';
import { ClientTokens } from './engine/client-tokens.ts';
import { isAbout } from './engine/belonging.ts';
import type { Region } from './engine/region.ts';
import { ApiError } from './protocol/api-error.ts';
import { isAction, Parameters, shapeOf } from './protocol/parameters.ts';
import { authenticate, NonceMemory, parseQuery, type SignedRequest, splitTarget } from './protocol/signature.ts';
import type { CallRecord, FaultRule } from './state/model.ts';

const apiVersion = '2014-05-26';
const bodyLimit = 1024 * 1024;

export interface Simulator {
  readonly region: Region;
  readonly calls: CallLog;
}

export interface RunningServer {
  readonly port: number;
  close(): Promise<void>;
}

export async function serve(simulator: Simulator, options: { host: string; port: number }): Promise<RunningServer> {
  const front = new ApiFront(simulator);
  // The SDK sends scripts in the query: far beyond Node's 16 KiB. A pause between two calls must not cost a connection.
  const server: Server = createServer({ maxHeaderSize: 262_144, keepAliveTimeout: 120_000 }, (request, response) => {
    front.handle(request, response).catch((error: unknown) => {
      simulator.region.log(`defect: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      response.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyLimit) throw new ApiError('RequestBodyTooLarge', 413, 'The request body is too large.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

interface Answer {
  readonly status: number;
  readonly code: string;
  readonly body: Record<string, unknown>;
  readonly retryAfterMs?: number | undefined;
  /** Of a call that took effect: written down with it, so that whoever reads the log of a crash finds it. */
  readonly record?: CallRecord;
}

interface Received {
  readonly action: string;
  readonly wire: ReadonlyMap<string, string>;
  readonly time: string;
  readonly requestId: string;
}

class ApiFront {
  private readonly simulator: Simulator;
  private readonly nonces = new NonceMemory();
  private readonly tokens: ClientTokens;
  /** Calls of the current minute, by action. */
  private readonly rates = new Map<string, { minute: number; count: number }>();

  constructor(simulator: Simulator) {
    this.simulator = simulator;
    this.tokens = new ClientTokens(simulator.region.world);
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { region, calls } = this.simulator;
    const target = request.url ?? '/';
    const body = await readBody(request);
    if (target.startsWith('/__sim/')) {
      await handleControl(this.simulator, request.method ?? 'GET', target, body, response);
      return;
    }
    const requestId = region.requestId();
    const time = new Date().toISOString();
    let action = '';
    let wire: ReadonlyMap<string, string> = new Map();
    let fault: FaultRule | undefined;
    let answer: Answer;
    try {
      const signed = readRequest(request, target, body);
      wire = signed.parameters;
      action = signed.headers.get('x-acs-action') ?? wire.get('Action') ?? '';
      authenticate(signed, region.world, this.nonces, Date.now());
      fault = this.matchFault(action, wire);
      if (fault?.delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, fault?.delayMs));
      if (fault?.answer === 'refused') {
        calls.add({
          ...logged({ action, wire, time, requestId }),
          code: 'connection refused',
          status: 0,
          tookEffect: false,
          answered: false,
        });
        request.socket.destroy();
        return;
      }
      const { error } = fault ?? {};
      if (error !== undefined && fault?.afterEffect !== true) throw faultOf(error);
      this.throttle(action);
      answer = await this.run({ action, wire, time, requestId }, signed, fault?.delayAfterMs ?? 0);
      if (error !== undefined) answer = { ...answer, ...failure(faultOf(error), region) };
    } catch (error) {
      answer = failure(error, region);
    }
    const answered = fault?.answer !== 'lost';
    const { code, status } = answer;
    if (answer.record === undefined) {
      calls.add({ ...logged({ action, wire, time, requestId }), code, status, tookEffect: false, answered });
    } else {
      calls.amend(answer.record, { code, status, answered });
    }
    if (!answered) {
      request.socket.destroy();
      return;
    }
    if (fault?.answer === 'garbage') {
      const garbage = fault.garbage ?? { status: 502, contentType: 'text/html', body: '<html>Bad Gateway</html>' };
      response.writeHead(garbage.status, { 'content-type': garbage.contentType }).end(garbage.body);
      return;
    }
    const error = answer.status >= 400;
    const text = JSON.stringify({
      RequestId: requestId,
      ...(error && { HostId: `ecs.${region.world.regionId}.aliyuncs.com` }),
      ...answer.body,
      ...(error && {
        Recommend: `https://api.aliyun.com/troubleshoot?q=${answer.code}&product=Ecs&requestId=${requestId}`,
      }),
    });
    response
      .writeHead(answer.status, {
        'content-type': 'application/json;charset=utf-8',
        'content-length': Buffer.byteLength(text),
        'x-acs-request-id': requestId,
        ...(answer.retryAfterMs !== undefined && { 'x-acs-retry-after': String(answer.retryAfterMs) }),
      })
      .end(text);
  }

  private async run(received: Received, signed: SignedRequest, delayAfterMs: number): Promise<Answer> {
    const { region, calls } = this.simulator;
    const { action, wire } = received;
    const version = signed.headers.get('x-acs-version') ?? wire.get('Version') ?? '';
    if (action === '') throw new ApiError('MissingParameter', 400, 'The input parameter "Action" is not supplied.');
    if (version !== apiVersion) {
      throw new ApiError(
        'InvalidVersion',
        400,
        `Specified parameter Version "${version}" is not valid; it is ${apiVersion}.`,
      );
    }
    if (!isAction(action)) {
      throw new ApiError(
        'InvalidAction.NotFound',
        404,
        `Specified api is not found, please check your url and method: the simulator has no action "${action}".`,
      );
    }
    if ((wire.get('Format') ?? 'JSON').toUpperCase() !== 'JSON') {
      throw new ApiError('UnsupportedParameter', 400, 'Parameter "Format": the simulator answers in JSON only.');
    }
    const regionId = wire.get('RegionId');
    if (regionId !== undefined && regionId !== '' && regionId !== region.world.regionId) {
      throw new ApiError('InvalidRegionId.NotFound', 404, `The specified RegionId "${regionId}" does not exist.`);
    }
    const p = Parameters.parse(action, wire);
    const token = 'ClientToken' in shapeOf(action).parameters ? this.tokens.lookUp(p) : undefined;
    if (token?.earlier !== undefined) return { status: 200, code: 'OK', body: token.earlier };
    let tookEffect = false;
    const body = handlers[action]({
      region,
      p,
      effect: () => {
        tookEffect = true;
      },
    });
    if (tookEffect) {
      const createdId = body['DiskId'] ?? body['SnapshotId'] ?? body['InvokeId'];
      const record = calls.add({
        ...logged(received),
        code: 'OK',
        status: 200,
        tookEffect,
        answered: false,
        ...(typeof createdId === 'string' && { createdId }),
      });
      if (token !== undefined) this.tokens.begin(token.key, p);
      try {
        if (token !== undefined)
          region.world.tokens[token.key] = { fingerprint: p.fingerprint(['ClientToken']), answer: body };
        region.world.simTime = region.clock.now();
        region.world.lastEffect = record.seq;
        await region.store.save();
        if (delayAfterMs > 0) await new Promise((resolve) => setTimeout(resolve, delayAfterMs));
      } finally {
        if (token !== undefined) this.tokens.end(token.key, p, body);
      }
      return { status: 200, code: 'OK', body, record };
    }
    // What a caller has seen (a snapshot's cut, say) must still be so after a crash.
    await region.store.settle();
    return { status: 200, code: 'OK', body };
  }

  /** Counts the call against every rule that fits it; the first one that is due acts. */
  private matchFault(action: string, wire: ReadonlyMap<string, string>): FaultRule | undefined {
    const { region } = this.simulator;
    let acting: FaultRule | undefined;
    for (const rule of region.world.faults) {
      const fits =
        (rule.action === '*' || rule.action === action) &&
        (rule.about === undefined || isAbout(region.world, wire, rule.about)) &&
        Object.entries(rule.match).every(([name, value]) => (wire.get(name) ?? '') === value);
      if (!fits) continue;
      rule.hits += 1;
      const due = rule.hits > rule.skip && (rule.times < 0 || rule.hits <= rule.skip + rule.times);
      if (due) acting ??= rule;
      region.saveSoon();
    }
    return acting;
  }

  private throttle(action: string): void {
    const { throttle } = this.simulator.region.world;
    const limit = throttle[action] ?? throttle['*'];
    if (limit === undefined) return;
    const minute = Math.floor(Date.now() / 60_000);
    const rate = this.rates.get(action);
    const count = rate?.minute === minute ? rate.count + 1 : 1;
    this.rates.set(action, { minute, count });
    if (count > limit) {
      throw new ApiError('Throttling.User', 400, 'Request was denied due to user flow control.', 1000);
    }
  }
}

const logged = ({
  action,
  wire,
  time,
  requestId,
}: Received): Pick<CallRecord, 'time' | 'action' | 'parameters' | 'requestId'> => ({
  time,
  action,
  parameters: loggable(wire),
  requestId,
});

function readRequest(request: IncomingMessage, target: string, body: Buffer): SignedRequest {
  const headers = new Map<string, string>();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(',') : value);
  }
  const method = request.method ?? '';
  if (method !== 'GET' && method !== 'POST') {
    throw new ApiError('UnsupportedHTTPMethod', 403, `This http method is not supported: ${method}.`);
  }
  const [path, query] = splitTarget(target);
  if (path !== '/') throw new ApiError('InvalidAction.NotFound', 404, `There is nothing at path "${path}".`);
  const pairs = parseQuery(query);
  if ((headers.get('content-type') ?? '').startsWith('application/x-www-form-urlencoded')) {
    pairs.push(...parseQuery(body.toString()));
  }
  return { method, target, headers, body, parameters: new Map(pairs) };
}

const faultOf = ({ code, status, message, retryAfterMs }: NonNullable<FaultRule['error']>): ApiError =>
  new ApiError(code, status, message, retryAfterMs);

function failure(error: unknown, region: Region): Answer {
  if (error instanceof ApiError) {
    const body = { Code: error.code, Message: error.message };
    return { status: error.status, code: error.code, body, retryAfterMs: error.retryAfterMs };
  }
  region.incident('defect', error);
  region.log(error instanceof Error ? (error.stack ?? '') : String(error));
  const Message = 'The request processing has failed due to some unknown error, exception or failure.';
  return { status: 500, code: 'InternalError', body: { Code: 'InternalError', Message } };
}
