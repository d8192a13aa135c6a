/** What is installed, by whom, and what a user without root is told. */
import { expect, it } from 'vitest';
import { ensureSystemPackages, type Host } from '../../../local/system-packages.ts';

function host(options: Partial<Host> & { lacks?: string[]; failFirst?: string } = {}): { host: Host; ran: string[] } {
  const ran: string[] = [];
  const fails = options.failFirst === undefined ? [] : [options.failFirst];
  return {
    ran,
    host: {
      isRoot: true,
      hasProgram: (name) => !(options.lacks ?? []).includes(name),
      hasPackage: async (name) => !(options.lacks ?? []).includes(name),
      listsReadAt: () => Date.now(),
      aptGet: async (args) => {
        ran.push(args.join(' '));
        if (args[0] === 'install' && fails.length > 0) throw new Error(fails.pop());
      },
      ...options,
    },
  };
}

const INSTALL = 'install -y --no-install-recommends';
const quiet = (): void => undefined;

it('does nothing where all is there', async () => {
  const { host: whole, ran } = host();
  await ensureSystemPackages(['vm', 'loop', 'python3-pip'], quiet, whole);
  expect(ran).toEqual([]);
});

it('installs as root what is missing, each package once, without what it recommends', async () => {
  const lines: string[] = [];
  const { host: bare, ran } = host({ lacks: ['qemu-system-x86_64', 'blkid', 'partx', 'python3-pip'] });
  await ensureSystemPackages(['vm', 'loop', 'python3-pip'], (line) => lines.push(line), bare);
  expect(ran).toEqual([`${INSTALL} python3-pip qemu-system-x86 util-linux`]);
  expect(lines[0]).toBe('installing Debian packages: python3-pip qemu-system-x86 util-linux');
});

it('reads the package lists first where there are none or old ones, and anew when they did not do', async () => {
  for (const readAt of [undefined, Date.now() - 2 * 24 * 3600_000]) {
    const { host: bare, ran } = host({ lacks: ['qemu-system-x86_64'], listsReadAt: () => readAt });
    await ensureSystemPackages('vm', quiet, bare);
    expect(ran).toEqual(['update', `${INSTALL} qemu-system-x86`]);
  }
  const { host: stale, ran } = host({ lacks: ['qemu-system-x86_64'], failFirst: 'E: 404 Not Found' });
  await ensureSystemPackages('vm', quiet, stale);
  expect(ran).toEqual([`${INSTALL} qemu-system-x86`, 'update', `${INSTALL} qemu-system-x86`]);
});

it('names the command to run in one line when not root, and touches nothing', async () => {
  const { host: user, ran } = host({ isRoot: false, lacks: ['qemu-system-x86_64'] });
  await expect(ensureSystemPackages('vm', quiet, user)).rejects.toThrow(
    'this host lacks qemu-system-x86_64; run: sudo apt-get update && sudo apt-get install -y --no-install-recommends qemu-system-x86',
  );
  expect(ran).toEqual([]);
});

it('says what failed, and what to do on a host without apt', async () => {
  const { host: broken } = host({
    lacks: ['qemu-system-x86_64'],
    aptGet: async () => {
      throw new Error('E: Unable to fetch\nmore');
    },
  });
  await expect(ensureSystemPackages('vm', quiet, broken)).rejects.toThrow(
    /^cannot install qemu-system-x86: E: Unable to fetch; try: apt-get install [^\n]*$/,
  );
  const { host: other } = host({ lacks: ['qemu-system-x86_64', 'apt-get', 'dpkg-deb'] });
  await expect(ensureSystemPackages('vm', quiet, other)).rejects.toThrow(/has no apt-get; .*qemu-system-x86/);
});
