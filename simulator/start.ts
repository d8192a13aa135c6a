/** Puts a simulator together: the world of its state folder or a new one, data plane, clock, scene and server. */
import { randomBytes } from 'node:crypto';
import { resumeInvocations } from './actions/cloud-assistant.ts';
import { createDataPlane, type DataPlaneKind } from './data-plane/index.ts';
import { CallLog } from './engine/call-log.ts';
import { Clock } from './engine/clock.ts';
import { Region } from './engine/region.ts';
import { createScene, defaultScene, type SceneFileSystem } from './scene.ts';
import { serve } from './server.ts';
import { defaultDurations, defaultSwitches, type Scene, type World } from './state/model.ts';
import { loadWorld, notKept, StateFolder } from './state/store.ts';

export interface SimulatorOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly dataPlane: DataPlaneKind;
  readonly stateDir: string;
  /** Another process can go on with what `stateDir` holds, even after a SIGKILL; otherwise only the data plane uses it. */
  readonly keepState: boolean;
  readonly speed: number;
  readonly fileSystem: SceneFileSystem;
  readonly scene: 'default' | 'none';
  /** Debian packages that the scene's guest gets on a disk of their own. */
  readonly packages: readonly string[];
  readonly regionId: string;
  /** Fixed credentials instead of random ones. */
  readonly accessKeyId?: string | undefined;
  readonly accessKeySecret?: string | undefined;
  readonly log: (line: string) => void;
}

/** What the program prints when it is ready. */
export interface Ready {
  /** `host:port`, without scheme, as the SDK's `endpoint` wants it. */
  readonly endpoint: string;
  readonly protocol: 'HTTP';
  readonly regionId: string;
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly control: string;
  readonly dataPlane: DataPlaneKind;
  readonly scene: Scene | null;
}

export interface StartedSimulator {
  readonly ready: Ready;
  readonly region: Region;
  /** Ends guests and server; the state folder stays. */
  stop(): Promise<void>;
}

const newWorld = (options: SimulatorOptions): World => ({
  format: 3,
  regionId: options.regionId,
  accessKeyId: options.accessKeyId ?? `simulator-${randomBytes(6).toString('hex')}`,
  accessKeySecret: options.accessKeySecret ?? randomBytes(15).toString('hex'),
  dataPlane: options.dataPlane,
  simTime: 0,
  nextSeq: 0,
  lastEffect: 0,
  durations: { ...defaultDurations },
  switches: defaultSwitches(),
  instances: {},
  disks: {},
  snapshots: {},
  invocations: {},
  tasks: [],
  tokens: {},
  faults: [],
  held: [],
  guestAnswers: [],
  diskQuantities: {},
  soldOut: [],
  throttle: {},
  incidents: [],
  scene: null,
});

/** Rejects with one clear line when it cannot start; nothing is left running then. */
export async function startSimulator(options: SimulatorOptions): Promise<StartedSimulator> {
  const earlier = options.keepState ? loadWorld(options.stateDir) : undefined;
  if (earlier !== undefined && earlier.dataPlane !== options.dataPlane) {
    throw new Error(
      `--state ${options.stateDir} was made with data plane ${earlier.dataPlane}; start it with --data-plane ${earlier.dataPlane}, or choose another folder`,
    );
  }
  const world = earlier ?? newWorld(options);
  if (options.accessKeyId !== undefined) world.accessKeyId = options.accessKeyId;
  if (options.accessKeySecret !== undefined) world.accessKeySecret = options.accessKeySecret;
  const store = options.keepState ? new StateFolder(options.stateDir, () => world) : notKept;
  const dataPlane = await createDataPlane(options.dataPlane, { stateDir: options.stateDir, log: options.log });
  const clock = new Clock(world.simTime, options.speed);
  const region = new Region({ world, clock, dataPlane, store, log: options.log });
  try {
    if (earlier !== undefined) {
      region.resume();
      resumeInvocations(region);
    }
    if (world.scene === null && options.scene === 'default') {
      world.scene = await createScene(region, {
        ...defaultScene,
        fileSystem: options.fileSystem,
        packages: options.packages,
      });
    }
    await store.save();
    const calls = new CallLog(
      options.keepState ? { stateDir: options.stateDir, lastEffect: world.lastEffect } : undefined,
    );
    const server = await serve({ region, calls }, options);
    const endpoint = `${options.host === '0.0.0.0' ? '127.0.0.1' : options.host}:${server.port}`;
    return {
      ready: {
        endpoint,
        protocol: 'HTTP',
        regionId: world.regionId,
        accessKeyId: world.accessKeyId,
        accessKeySecret: world.accessKeySecret,
        control: `http://${endpoint}/__sim`,
        dataPlane: options.dataPlane,
        scene: world.scene,
      },
      region,
      stop: async () => {
        await server.close();
        await region.close();
      },
    };
  } catch (error) {
    await region.close().catch(() => undefined);
    throw error;
  }
}
