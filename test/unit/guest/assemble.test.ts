/** How guest scripts are put together and their answers read: sizes, quoting, and nothing of the output in an error. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { guestScript, parseAnswer } from '../../../src/guest/assemble.ts';
import type { ScriptName } from '../../../src/guest/scripts.ts';

const LIMIT = 24 * 1024;
const names: ScriptName[] = [
  'guest-ready',
  'check-paths',
  'look-around',
  'find-device',
  'mount',
  'look-into-copy',
  'copy-engine',
  'copy-start',
  'copy-status',
  'verify-start',
  'verify-result',
  'unmount',
  'original-in-place',
  'freeze',
  'thaw',
  'run-state',
  'grow',
  'report',
  'put-list',
  'restore',
  'discard',
  'hook',
  'list-disks',
  'disk-use',
];

describe('guestScript', () => {
  it.each(names)('%s is valid bash, and small enough with room for paths', (name) => {
    // What a copy works with is left in the guest before, and takes no paths.
    const input = name === 'copy-engine' ? {} : { paths: [`/data/${'x'.repeat(4000)}`] };
    const script = guestScript(name, { run: 'r-1', ...input });
    expect(script.startsWith('#!/bin/bash\n')).toBe(true);
    expect(Buffer.from(script).toString('base64').length).toBeLessThanOrEqual(LIMIT);
    const packed = /<<'PACKED'[^\n]*\n([\s\S]*?)\nPACKED\n/.exec(script)?.[1] ?? '';
    const unpacked = spawnSync('bash', ['-c', 'base64 -d | gzip -dc'], { input: packed });
    expect(unpacked.stdout.length).toBeGreaterThan(1000);
    expect(spawnSync('bash', ['-n'], { input: unpacked.stdout }).stderr.toString()).toBe('');
    expect(spawnSync('bash', ['-n'], { input: script }).stderr.toString()).toBe('');
  });

  it('has a script for every file that is not a part of others', () => {
    const files = readdirSync(new URL('../../../src/guest/scripts/', import.meta.url))
      .filter((file) => file.endsWith('.sh'))
      .map((file) => file.replace(/\.sh$/, ''));
    expect(
      files
        .filter(
          (file) =>
            ![
              'lib',
              'disks',
              'group',
              'job',
              'tree',
              'plan',
              'freezer',
              'flags',
              'protected',
              'attributes',
              'names',
              'others',
              'kept',
              'residue',
              'asides',
              'open-files',
              'rate',
            ].includes(file),
        )
        .sort(),
    ).toEqual([...names].sort());
  });

  it('never puts input into the shell text', () => {
    const script = guestScript('unmount', { run: `'; touch /tmp/oops; echo '` });
    expect(script).not.toContain('oops');
  });

  it('names the field that is too long, and the room there is', () => {
    const paths = Array.from({ length: 200 }, (_, i) => `/data/${'long/'.repeat(20)}${i}`);
    expect(() => guestScript('find-device', { run: 'r', paths })).toThrow(
      /^paths is too long for the guest script find-device: the whole input has \d+ bytes where about \d+ fit/,
    );
    const room = Number(
      /about (\d+) fit/.exec(
        (() => {
          try {
            return guestScript('mount', { run: 'r', paths });
          } catch (error) {
            return String(error);
          }
        })(),
      )?.[1],
    );
    expect(() => guestScript('mount', { run: 'r', paths: ['x'.repeat(room - 60)] })).not.toThrow();
    expect(() => guestScript('mount', { run: 'r', paths: ['x'.repeat(room + 60)] })).toThrow(RangeError);
  });
});

describe('parseAnswer', () => {
  const parse = (text: string, dropped = 0) => parseAnswer<{ a: number }>(Buffer.from(text), dropped);
  const noAnswer = { ok: false, refused: false, code: 'NoAnswer' };

  it('takes the last line, whatever was printed before', () => {
    expect(parse('noise\n{"ok":false}\n{"ok":true,"result":{"a":1}}\n')).toEqual({ ok: true, result: { a: 1 } });
    const refusal = { ok: false, refused: true, code: 'NoSpace', message: 'm' };
    expect(parse(`${JSON.stringify(refusal)}\n\n`)).toEqual(refusal);
  });

  it.each([
    '',
    'secret',
    '{"ok":true}',
    '{"ok":false,"code":"X"}',
    '[]',
    'null',
    '{"ok":true,"result":{"a":1}}\nsecret',
  ])('never shows output that is no answer: %j', (text) => {
    const answer = parse(text);
    expect(answer).toMatchObject(noAnswer);
    expect(JSON.stringify(answer)).not.toContain('secret');
  });

  it('says that output was cut', () => {
    expect(parse('{"ok":true,"resu', 300)).toMatchObject({
      ...noAnswer,
      message: expect.stringContaining('300 bytes'),
    });
  });
});
