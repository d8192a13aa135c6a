#!/usr/bin/env node
/** Entry of the command line; everything else is in cli/. */
import { main } from './cli/program.ts';
import { whoIsTyping } from './cli/who-is-typing.ts';

const fromSources = process.argv[1]?.endsWith('.ts') === true;

const exitCode = await main(process.argv.slice(2), {
  env: process.env,
  platform: process.platform,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  self: fromSources ? 'npm run -s starter --' : 'ecs-rollback',
  user: whoIsTyping(process.env),
  now: () => Date.now(),
});
// A pipe must get all of the document first; then exit at once, since an abandoned gRPC channel keeps its timers.
process.stderr.write('', () => process.stdout.write('', () => process.exit(exitCode)));
