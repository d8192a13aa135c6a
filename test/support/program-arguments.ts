import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What Node is given to run one of our programs: compiled, where `npm test` has compiled it, else its source. */
export function programArguments(file: 'src/starter' | 'src/worker'): string[] {
  const built = process.env['ECS_ROLLBACK_BUILT'];
  if (built !== undefined) return [join(built, `${file}.js`)];
  return ['--import', 'tsx', fileURLToPath(new URL(`../../${file}.ts`, import.meta.url))];
}
