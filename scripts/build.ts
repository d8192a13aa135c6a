/**
 * `npm run build`: what is shipped, in `dist/`: compiled product and simulator, the files beside the sources that are not
 * TypeScript (guest scripts), and the workflow bundle, so that a worker need not bundle at start.
 */
import { spawnSync } from 'node:child_process';
import { cp, readdir, rm } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeWorkflowBundle } from './workflow-bundle.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const started = Date.now();

await rm(dist, { recursive: true, force: true });
const tsc = spawnSync(
  process.execPath,
  [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--noEmit', 'false'],
  { cwd: root, stdio: 'inherit' },
);
if (tsc.status !== 0) {
  console.error('the TypeScript compiler found errors; nothing usable was built.');
  process.exit(1);
}

let copied = 0;
for (const tree of ['src', 'simulator']) {
  for (const entry of await readdir(join(root, tree), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || /\.(ts|md)$/.test(entry.name)) continue;
    const source = join(entry.parentPath, entry.name);
    await cp(source, join(dist, relative(root, source)), { preserveTimestamps: true });
    copied += 1;
  }
}

const bytes = await writeWorkflowBundle(join(dist, 'workflow-bundle.js'));
console.log(
  `built dist/ in ${((Date.now() - started) / 1000).toFixed(1)} s: ${copied} other files copied, workflow bundle ${(bytes / 1e6).toFixed(2)} MB`,
);
