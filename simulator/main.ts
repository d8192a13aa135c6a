/** The simulator as a program: prints one JSON line when it is ready, progress on stderr, and serves until it is stopped. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type DataPlaneKind, dataPlaneKinds } from './data-plane/index.ts';
import { SCENE_FILE_SYSTEMS } from './scene.ts';
import { type SimulatorOptions, startSimulator } from './start.ts';

const usage = `Usage: npm run simulator -- [options]

The ECS API on loopback, with real disks and machines behind it. Prints one JSON line
(endpoint, credentials, region, scene) on stdout when ready; ends with Ctrl-C.

  --port P             port to listen on; 0, the default, takes a free one
  --host H             address to bind (default 127.0.0.1)
  --data-plane KIND    vm (default): QEMU guests; loop: root on Linux; none: no bytes, no machines
  --state DIR          keep the state in DIR and continue from it (default: it ends with the process)
  --speed X            simulated time runs X times as fast (default 1)
  --scene NAME         default: an instance with system disk and mounted data disk; none: an empty region
  --fs TYPE            file system of the scene's data disk: ext4 (default), xfs, or lvm (ext4 on LVM)
  --packages A,B       Debian packages for the scene's guest, on a third disk mounted at /opt/packages
  --region ID          region id (default cn-hangzhou)
  --access-key-id ID, --access-key-secret SECRET
                       fixed credentials (default: random ones); also SIMULATOR_ACCESS_KEY_ID, SIMULATOR_ACCESS_KEY_SECRET
  --help
`;

class UsageError extends Error {}

function oneOf<T extends string>(flag: string, value: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new UsageError(`--${flag} ${value}: it is one of ${choices.join(', ')}`);
  return found;
}

function readOptions(): Omit<SimulatorOptions, 'stateDir' | 'keepState' | 'log'> & { state: string | undefined } {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        port: { type: 'string', default: '0' },
        host: { type: 'string', default: '127.0.0.1' },
        'data-plane': { type: 'string', default: 'vm' },
        state: { type: 'string' },
        speed: { type: 'string', default: '1' },
        scene: { type: 'string', default: 'default' },
        fs: { type: 'string', default: 'ext4' },
        packages: { type: 'string', default: '' },
        region: { type: 'string', default: 'cn-hangzhou' },
        'access-key-id': { type: 'string' },
        'access-key-secret': { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message.split('\n')[0]);
  }
  if (values.help) {
    process.stdout.write(usage);
    process.exit(0);
  }
  const port = Number(values.port);
  if (!/^\d+$/.test(values.port) || port > 65_535)
    throw new UsageError(`--port ${values.port}: it is a number from 0 to 65535`);
  const speed = Number(values.speed);
  if (!(speed > 0 && speed <= 100_000))
    throw new UsageError(`--speed ${values.speed}: it is a number above 0, at most 100000`);
  if (!/^[a-z]{2,}(-[a-z0-9]+)+$/.test(values.region)) {
    throw new UsageError(`--region ${values.region}: it is an Alibaba Cloud region id such as cn-hangzhou`);
  }
  return {
    host: values.host,
    port,
    dataPlane: oneOf<DataPlaneKind>('data-plane', values['data-plane'], dataPlaneKinds),
    state: values.state,
    speed,
    scene: oneOf('scene', values.scene, ['default', 'none'] as const),
    fileSystem: oneOf('fs', values.fs, SCENE_FILE_SYSTEMS),
    packages: packageNames(values.packages),
    regionId: values.region,
    accessKeyId: values['access-key-id'] ?? process.env['SIMULATOR_ACCESS_KEY_ID'],
    accessKeySecret: values['access-key-secret'] ?? process.env['SIMULATOR_ACCESS_KEY_SECRET'],
  };
}

function packageNames(text: string): string[] {
  const names = text.split(',').filter(Boolean);
  const odd = names.find((name) => !/^[a-z0-9][a-z0-9+.-]+$/.test(name));
  if (odd !== undefined) throw new UsageError(`--packages: ${odd} is not the name of a Debian package`);
  return names;
}

function fail(message: string, exitCode: number): never {
  process.stderr.write(`simulator: ${message}\n`);
  process.exit(exitCode);
}

async function main(): Promise<void> {
  const { state, ...options } = readOptions();
  const stateDir = state === undefined ? mkdtempSync(join(tmpdir(), 'ecs-simulator-')) : resolve(state);
  const cleanUp = (): void => {
    if (state === undefined) rmSync(stateDir, { recursive: true, force: true, maxRetries: 3 });
  };
  const log = (line: string): void => {
    process.stderr.write(`simulator: ${line}\n`);
  };
  let stopping = false;
  const started = startSimulator({ ...options, stateDir, keepState: state !== undefined, log });
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    started
      .then((simulator) => simulator.stop())
      .catch(() => undefined)
      .finally(() => {
        cleanUp();
        process.exit(0);
      });
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    const simulator = await started;
    if (!stopping) process.stdout.write(`${JSON.stringify(simulator.ready)}\n`);
  } catch (error) {
    cleanUp();
    fail(error instanceof Error ? error.message : String(error), 1);
  }
}

await main().catch((error: unknown) => {
  if (error instanceof UsageError) fail(`${error.message} (--help lists all options)`, 2);
  throw error;
});
