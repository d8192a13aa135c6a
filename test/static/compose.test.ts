import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { TEMPORAL_CLI } from '../../local/temporal-cli.ts';
import { SEARCH_ATTRIBUTES } from '../../src/contract/messages.ts';

/** No Docker is needed or used: what can be known of these files by reading them is checked here, and no more. */
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly target: string };
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly init?: boolean;
  readonly stop_grace_period?: string;
  readonly extends?: { readonly file: string; readonly service: string };
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}
const compose = (path: string): Compose => parse(read(path)) as Compose;
const files = ['docker-compose.yml', 'deploy/compose/account.yml'];

/** Names of the environment variables that the product's own code mentions, and those of the libraries it leaves them to. */
function variablesRead(): Set<string> {
  const names = new Set(['TEMPORAL_ADDRESS', 'TEMPORAL_NAMESPACE']);
  for (const tree of ['src', 'simulator']) {
    for (const entry of readdirSync(join(root, tree), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
      const text = readFileSync(join(entry.parentPath, entry.name), 'utf8');
      for (const [name] of text.matchAll(/\b(?:ECS_ROLLBACK|SIMULATOR|ALIBABA_CLOUD)_[A-Z_]+\b/g)) names.add(name);
    }
  }
  return names;
}

interface Stage {
  readonly from: string;
  readonly name: string;
  readonly instructions: ReadonlyArray<{ readonly keyword: string; readonly rest: string }>;
}

function stagesOf(dockerfile: string): Stage[] {
  const lines = dockerfile
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replaceAll('\\\n', ' ')
    .split('\n');
  const stages: Array<Stage & { instructions: Array<{ keyword: string; rest: string }> }> = [];
  for (const line of lines) {
    const [, keyword = '', rest = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
    const from = /^(\S+) AS (\S+)$/.exec(rest);
    if (keyword === 'FROM') stages.push({ from: from?.[1] ?? rest, name: from?.[2] ?? '', instructions: [] });
    else stages.at(-1)?.instructions.push({ keyword, rest });
  }
  return stages;
}

describe.each(files)('%s', (path) => {
  const { services, volumes } = compose(path);

  test('services depend on services that exist and say when they are healthy', () => {
    for (const service of Object.values(services)) {
      for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(condition).toBe('service_healthy');
        const needed = services[name];
        expect(needed, name).toBeDefined();
        const base = needed?.extends
          ? compose(join(dirname(path), needed.extends.file)).services[needed.extends.service]
          : needed;
        expect(base?.healthcheck?.test[0], name).toBe('CMD');
      }
    }
  });

  test('every variable given to our own services is one that the code reads', () => {
    const known = variablesRead();
    for (const [name, service] of Object.entries(services)) {
      for (const variable of Object.keys(service.environment ?? {})) {
        expect(known, `${variable} of ${name}`).toContain(variable);
      }
    }
  });

  test('what is built has a context with the Dockerfile and a stage of that name', () => {
    const stages = stagesOf(read('Dockerfile')).map(({ name }) => name);
    for (const service of Object.values(services)) {
      if (!service.build) continue;
      expect(existsSync(join(root, dirname(path), service.build.context, 'Dockerfile'))).toBe(true);
      expect(stages).toContain(service.build.target);
      expect(service.init).toBe(true);
    }
  });

  test('named volumes are declared, and nothing listens beyond this machine', () => {
    for (const service of Object.values(services)) {
      for (const volume of service.volumes ?? []) expect(Object.keys(volumes)).toContain(volume.split(':')[0]);
      for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
    }
  });
});

describe('the local stack in containers', () => {
  const { services } = compose('docker-compose.yml');

  test('Temporal is the version that the local stack pins, keeps its data, and knows the search attributes', () => {
    const { image, command = [], volumes = [] } = services['temporal'] ?? {};
    expect(image).toBe(`temporalio/temporal:${TEMPORAL_CLI.version}`);
    const attributes = command
      .filter((word) => word.startsWith('--search-attribute='))
      .map((word) => word.split('=')[1]);
    expect(new Set(attributes)).toEqual(new Set(Object.values(SEARCH_ATTRIBUTES)));
    const database = command.find((word) => word.startsWith('--db-filename='))?.split('=')[1] ?? '';
    expect(volumes.map((volume) => volume.split(':')[1])).toContain(dirname(database));
  });

  test('worker and simulator share credentials and address', () => {
    const worker = services['worker']?.environment ?? {};
    const simulator = services['simulator']?.environment ?? {};
    for (const part of ['ACCESS_KEY_ID', 'ACCESS_KEY_SECRET']) {
      expect(simulator[`SIMULATOR_${part}`]).toMatch(/./);
      expect(worker[`ALIBABA_CLOUD_${part}`]).toBe(simulator[`SIMULATOR_${part}`]);
    }
    const endpoint = new URL(worker['ECS_ROLLBACK_ENDPOINT'] ?? '');
    expect(Object.keys(services)).toContain(endpoint.hostname);
    const command = stagesOf(read('Dockerfile'))
      .find(({ name }) => name === 'simulator')
      ?.instructions.find(({ keyword }) => keyword === 'CMD');
    expect(command?.rest).toContain(`"--port", "${endpoint.port}"`);
    expect(services['simulator']?.ports?.[0]).toMatch(new RegExp(`:${endpoint.port}$`));
    const probe = services['simulator']?.healthcheck?.test.join(' ') ?? '';
    const route = new RegExp(`:${endpoint.port}/__sim/(\\w+)`).exec(probe)?.[1];
    expect(read('simulator/control.ts')).toContain(`'GET ${route}'`);
  });

  test('a worker gets longer to stop than it gives its activities', () => {
    const grace = /shutdownGraceTime: '(\d+)s'/.exec(read('src/worker.ts'))?.[1];
    expect(Number(grace)).toBeGreaterThan(0);
    for (const path of files) {
      const seconds = Number.parseInt(compose(path).services['worker']?.stop_grace_period ?? '0', 10);
      expect(seconds).toBeGreaterThan(Number(grace));
    }
  });
});

describe('Dockerfile', () => {
  const stages = stagesOf(read('Dockerfile'));
  const stage = (name: string): Stage => {
    const found = stages.find((s) => s.name === name);
    if (!found) throw new Error(`no stage ${name}`);
    return found;
  };
  const chain = (name: string): Stage['instructions'] => {
    const found = stages.find((s) => s.name === name);
    return found ? [...chain(found.from), ...found.instructions] : [];
  };

  test('every base is glibc Debian with Node 24, or an earlier stage', () => {
    const earlier: string[] = [];
    for (const { from, name } of stages) {
      if (!earlier.includes(from)) expect(from).toBe('node:24-bookworm-slim');
      earlier.push(name);
    }
    expect(earlier).toEqual(expect.arrayContaining(['worker', 'simulator']));
  });

  test('every file copied from here exists and reaches the build through .dockerignore', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    let copied = 0;
    for (const { instructions } of stages) {
      for (const { keyword, rest } of instructions) {
        if (keyword !== 'COPY' || rest.startsWith('--from=')) continue;
        for (const source of rest.split(/\s+/).slice(0, -1)) {
          copied += 1;
          expect(existsSync(join(root, source)), source).toBe(true);
          expect(allowed).toContain(source.replace(/^\.\//, ''));
        }
      }
    }
    expect(copied).toBeGreaterThan(4);
    for (const name of allowed) expect(existsSync(join(root, name)), name).toBe(true);
  });

  test('what is copied from another stage comes from one that exists', () => {
    const names = stages.map(({ name }) => name);
    for (const { instructions } of stages) {
      for (const { keyword, rest } of instructions) {
        const from = /^--from=(\S+)/.exec(rest)?.[1];
        if (keyword === 'COPY' && from) expect(names).toContain(from);
      }
    }
  });

  test.each(['worker', 'simulator'])('%s: certificates, no root, a program that the build makes', (name) => {
    const instructions = chain(name);
    expect(instructions.some(({ keyword, rest }) => keyword === 'RUN' && rest.includes('ca-certificates'))).toBe(true);
    expect(instructions.findLast(({ keyword }) => keyword === 'USER')?.rest).toBe('node');
    const command = JSON.parse(
      stage(name).instructions.find(({ keyword }) => keyword === 'CMD')?.rest ?? '[]',
    ) as string[];
    expect(command[0]).toBe('node');
    const source = command[1]?.replace(/^dist\//, '').replace(/\.js$/, '.ts') ?? '';
    expect(statSync(join(root, source)).isFile()).toBe(true);
  });

  test('build script and lock file are used as they are on this machine', () => {
    const runs = stages.flatMap(({ instructions }) => instructions.filter(({ keyword }) => keyword === 'RUN'));
    expect(runs.filter(({ rest }) => rest.startsWith('npm ci'))).toHaveLength(2);
    const build = runs.find(({ rest }) => rest.includes('scripts/build.ts'))?.rest;
    expect(build).toBe('node --import tsx scripts/build.ts');
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    expect(scripts['build']).toContain('scripts/build.ts');
  });

  test('the native core kept is one that the package ships', () => {
    const shipped = readdirSync(join(root, 'node_modules/@temporalio/core-bridge/releases'));
    const text = read('Dockerfile');
    for (const target of ['x86_64-unknown-linux-gnu', 'aarch64-unknown-linux-gnu']) {
      expect(text).toContain(`keep=${target}`);
      expect(shipped).toContain(target);
    }
  });
});

describe('npm scripts and .ci/run', () => {
  test('every script that runs a program of ours names a file that exists', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    for (const [name, text] of Object.entries(scripts)) {
      const program = /run\.mjs (\S+)/.exec(text)?.[1];
      if (program) expect(existsSync(join(root, program)), `${name}: ${program}`).toBe(true);
    }
  });

  test('CI runs what `npm test` runs', () => {
    expect(read('.ci/run')).toMatch(/^exec npm test/m);
    expect(statSync(join(root, '.ci/run')).mode & 0o111).not.toBe(0);
  });
});
