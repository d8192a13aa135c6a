/** The simulator's control API, as far as the local stack needs it: its state, its log of calls, held transitions. */
import type { CloudState } from './proof.ts';

/** The first line that the simulator prints when it is ready. */
export interface SimulatorReady {
  /** `host:port`. */
  readonly endpoint: string;
  readonly regionId: string;
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  /** Base URL of the control API. */
  readonly control: string;
  readonly dataPlane: string;
  readonly scene: Scene;
}

/** The instance with a system disk and a mounted data disk that a new simulator holds. */
export interface Scene {
  readonly instanceId: string;
  readonly systemDiskId: string;
  readonly dataDiskId: string;
  readonly mountPoint: string;
  readonly fileSystem: string;
  /** With the packages that were asked for. */
  readonly packagesDiskId?: string;
}

/** One API call as the simulator received it. */
export interface CallRecord {
  readonly action: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly code: string;
  /** It changed the region: neither a dry run nor the repetition of a client token. */
  readonly tookEffect: boolean;
  /** False when the answer was lost on its way. */
  readonly answered: boolean;
}

export class SimulatorControl {
  readonly #base: string;

  /** `base` is `SimulatorReady.control`. */
  constructor(base: string) {
    this.#base = base;
  }

  async state(): Promise<CloudState> {
    return (await this.#ask('GET', 'state')) as CloudState;
  }

  async calls(): Promise<CallRecord[]> {
    return ((await this.#ask('GET', 'calls')) as { calls: CallRecord[] }).calls;
  }

  /** Transitions of this resource do not end until it is released. */
  async hold(resourceId: string): Promise<void> {
    await this.#ask('POST', 'holds', { resourceId });
  }

  async release(resourceId: string): Promise<void> {
    await this.#ask('DELETE', `holds/${resourceId}`);
  }

  /** The next such call is applied and its answer lost; a dry run is none. */
  async loseAnswer(action: string): Promise<void> {
    await this.#ask('POST', 'faults', { action, match: { DryRun: '' }, answer: 'lost' });
  }

  /** How long transitions that begin from now on take, in seconds at speed 1. */
  async setDurations(seconds: Readonly<Record<string, number>>): Promise<void> {
    await this.#ask('POST', 'durations', seconds);
  }

  async #ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(`${this.#base}/${path}`, {
      method,
      signal: AbortSignal.timeout(15_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`simulator control, ${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }
}
