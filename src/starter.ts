#!/usr/bin/env node
/** Entry of the command line; everything else is in cli/. */
import { writeSync } from 'node:fs';
import { EXIT } from './cli/exit-codes.ts';
import { main } from './cli/program.ts';
import { whoIsTyping } from './cli/who-is-typing.ts';

const fromSources = process.argv[1]?.endsWith('.ts') === true;

/** `… | head` has read enough: that is no fault to dump, and no success either, since the outcome was not told. */
function unwritable(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') writeSync(2, `error: output cannot be written: ${error.message}\n`);
  process.exit(EXIT.interrupted);
}
process.stdout.on('error', unwritable);
process.stderr.on('error', () => process.exit(EXIT.interrupted));

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
