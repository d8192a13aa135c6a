/** Hooks in a real guest: started once, as the user asked for, never by way of a shell; what they print stays there. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { HookInput, HookResult } from '../../src/guest/scripts.ts';
import { whyNoLoopDevices } from '../support/loop-devices.ts';
import { bootGuest, codeOf, type Guest } from './scripts/guest.ts';

const RUN = 'run-hooks';
let guest: Guest;
let number = 0;

beforeAll(async () => {
  guest = await bootGuest(whyNoLoopDevices() === undefined ? 'loop' : 'vm');
  await guest.sh(`mkdir -p /srv/hooks; cd /srv/hooks
    cat >show <<'END'
#!/bin/sh
echo "$(id -un) $(pwd) $ECS_ROLLBACK_HOOK $ECS_ROLLBACK_RUN $#"
for arg; do printf '<%s>' "$arg"; done
echo secret-of-the-shop
echo x >>/srv/hooks/starts
exit "\${1:-0}"
END
    cat >slow <<'END'
#!/bin/sh
echo x >>/srv/hooks/slow-starts
sleep "$1"
END
    cat >daemon <<'END'
#!/bin/sh
sleep 300 &
echo $! >/srv/hooks/daemon-pid
END
    chmod 755 show slow daemon; chmod 777 .; : >starts; chmod 666 starts; echo text >plain; cp show loose; chmod 777 loose`);
}, 240_000);

afterAll(() => guest?.close());

const input = (over: Partial<HookInput> = {}): HookInput => ({
  run: RUN,
  id: `beforeCopy-${(number += 1)}`,
  command: '/srv/hooks/show',
  args: [],
  user: 'root',
  timeoutSeconds: 60,
  waitSeconds: 20,
  ...over,
});
const outputOf = (result: HookResult) =>
  guest.sh(`cat '${result.outputFile}'; stat -c ' %a' '${result.outputFile}' | tail -1`);

it('starts the file itself, with its arguments as they are, and answers its status only', async () => {
  const args = ['0', 'two words', '$(touch /srv/hooks/pwned)', "it's", '-n', 'new\nline', ''];
  const result = await guest.ok('hook', input({ args }));
  expect(result).toMatchObject({ state: 'done', exitCode: 0, timedOut: false });
  expect(JSON.stringify(result)).not.toContain('secret-of-the-shop');
  expect(await outputOf(result)).toBe(
    `root / beforeCopy ${RUN} 7\n${args.map((arg) => `<${arg}>`).join('')}secret-of-the-shop\n 600\n`,
  );
  expect(result.outputBytes).toBe(Number(await guest.sh(`stat -c %s '${result.outputFile}'`)));
  expect(await guest.sh('ls /srv/hooks | grep -c pwned || true')).toBe('0\n');
  expect(await guest.ok('hook', input({ args: ['7'] }))).toMatchObject({ state: 'done', exitCode: 7 });
});

it('runs as the user asked for', async () => {
  expect(await outputOf(await guest.ok('hook', input({ user: 'games' })))).toMatch(/^games \/ /);
});

it('is started once, however often it is delivered', async () => {
  const once = input({ command: '/srv/hooks/slow', args: ['2'], waitSeconds: 0 });
  expect(await guest.ok('hook', once)).toMatchObject({ state: 'running' });
  const ends = await Promise.all([1, 2, 3].map(() => guest.ok('hook', { ...once, waitSeconds: 20 })));
  expect(ends.map(({ state, exitCode }) => `${state} ${exitCode}`)).toEqual(Array(3).fill('done 0'));
  expect(await guest.sh('wc -l </srv/hooks/slow-starts')).toBe('1\n');
});

it('is ended at its time limit, and does not wait for what it leaves running', async () => {
  expect(await guest.ok('hook', input({ command: '/srv/hooks/slow', args: ['100'], timeoutSeconds: 1 }))).toMatchObject(
    {
      state: 'done',
      timedOut: true,
    },
  );
  expect(await guest.ok('hook', input({ command: '/srv/hooks/daemon' }))).toMatchObject({ state: 'done', exitCode: 0 });
  await guest.sh('pid=$(cat /srv/hooks/daemon-pid); kill -0 $pid; kill $pid');
});

it('is lost with its process, and not started again', async () => {
  const lost = input({ command: '/srv/hooks/slow', args: ['50'], waitSeconds: 0 });
  await guest.ok('hook', lost);
  await guest.sh(`read -r pid _ </var/log/ecs-rollback/${RUN}/${lost.id}/pid; kill -9 -- -$pid; pkill -9 -f 'sleep 50' || true
    while [ -d /proc/$pid ]; do sleep 0.05; done`);
  expect(await guest.ok('hook', { ...lost, waitSeconds: 5 })).toMatchObject({ state: 'lost' });
});

it('refuses what cannot or should not be started', async () => {
  const refusals = [
    [{ command: '/srv/hooks/nothing' }, 'HookNotFound'],
    [{ command: '/srv/hooks/plain' }, 'HookNotFound'],
    [{ command: '/srv/hooks' }, 'HookNotFound'],
    [{ user: 'nobody-of-that-name' }, 'HookUserUnknown'],
    [{ command: '/srv/hooks/loose' }, 'HookNotSafe'],
  ] as const;
  for (const [over, code] of refusals) expect(codeOf(await guest.run('hook', input(over)))).toBe(`refused ${code}`);
  expect(await guest.ok('hook', input({ command: '/srv/hooks/loose', user: 'games' }))).toMatchObject({ exitCode: 0 });
});
