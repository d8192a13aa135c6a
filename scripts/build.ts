/**
 * `npm run build`: what is shipped, in `dist/`: compiled product and simulator, the files beside the sources that are not
 * TypeScript (guest scripts), and the workflow bundle, so that a worker need not bundle at start. The starter and the
 * vendor's SDK are one file each with all that they import: a command starts in two thirds of the time, and the SDK's
 * 1,150 files load in a third of theirs.
 */
import { spawn } from 'node:child_process';
import { cp, readdir, rm, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { writeWorkflowBundle } from './workflow-bundle.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Fills the folder `target`. Throws when the compiler or the bundler finds an error; nothing usable is there then. */
export async function buildInto(target: string): Promise<{ otherFiles: number; bundleBytes: number }> {
  await rm(target, { recursive: true, force: true });
  const [bundleBytes] = await Promise.all([writeWorkflowBundle(join(target, 'workflow-bundle.js')), compile(target)]);

  await bundlePrograms(target);

  let otherFiles = 0;
  for (const tree of ['src', 'simulator']) {
    for (const entry of await readdir(join(root, tree), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || /\.(ts|md)$/.test(entry.name)) continue;
      const source = join(entry.parentPath, entry.name);
      await cp(source, join(target, relative(root, source)), { preserveTimestamps: true });
      otherFiles += 1;
    }
  }
  return { otherFiles, bundleBytes };
}

/** Builds into a folder of `folder`, beside what compiled modules look for above them; answers where. */
export async function buildToRun(folder: string): Promise<string> {
  const built = join(folder, 'dist');
  await buildInto(built);
  // Their dependencies, and that they are ES modules.
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  await cp(join(root, 'package.json'), join(folder, 'package.json'));
  return built;
}

/** The starter, which the compiler leaves out (tsconfig.build.json), and the SDK in place of what it has made of that. */
async function bundlePrograms(target: string): Promise<void> {
  const options = {
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    outdir: target,
    outbase: '.',
    logLevel: 'warning',
    // CommonJS packages ask for Node's own modules with it.
    banner: { js: "import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);" },
  } as const;
  await Promise.all([
    // Each command is a chunk that only its own use loads.
    build({
      ...options,
      entryPoints: ['src/starter.ts'],
      splitting: true,
      chunkNames: 'src/cli/[name]-[hash]',
    }),
    build({ ...options, entryPoints: ['src/cloud/alicloud/sdk.ts'] }),
    rm(join(target, 'src/cloud/alicloud/sdk.js.map')),
  ]);
}

async function compile(target: string): Promise<void> {
  const flags = `-p tsconfig.build.json --noEmit false --outDir`.split(' ');
  const tsc = spawn(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...flags, target], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  const status = await new Promise((resolve, reject) => {
    tsc.once('error', reject);
    tsc.once('exit', resolve);
  });
  if (status !== 0) throw new Error('the TypeScript compiler found errors; nothing usable was built.');
}

async function main(): Promise<void> {
  const started = Date.now();
  const { otherFiles, bundleBytes } = await buildInto(join(root, 'dist'));
  console.log(
    `built dist/ in ${((Date.now() - started) / 1000).toFixed(1)} s: ${otherFiles} other files copied, workflow bundle ${(bundleBytes / 1e6).toFixed(2)} MB`,
  );
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  });
}
