/** The JSON reader and writer of the guest scripts, run in bash: whatever JSON.stringify writes comes through unchanged. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const lib = readFileSync(new URL('../../../src/guest/scripts/lib.sh', import.meta.url), 'utf8');

/** Runs `lib.sh` with the input and then `script`; answers what it wrote as its answer. */
function bash(input: string | Buffer, script: string): Buffer {
  const text = `INPUT_B64='${Buffer.from(input).toString('base64')}'\n${lib}\n${script}\n`;
  return spawnSync('bash', ['-c', text], { maxBuffer: 1e8 }).stdout;
}
const read = (input: string | Buffer) => {
  const fields = bash(
    input,
    String.raw`for key in "${'${!IN[@]}'}"; do printf '%s\0%s\0' "$key" "${'${IN[$key]}'}" >&3; done`,
  )
    .toString('utf8')
    .split('\0');
  return Object.fromEntries(fields.slice(0, -1).flatMap((key, i) => (i % 2 === 0 ? [[key, fields[i + 1]]] : [])));
};

/** What the reader is to make of a value: one entry for each scalar, and the length of each array. */
function flat(value: unknown, path = ''): Record<string, string> {
  const below = (key: string) => (path === '' ? key : `${path}.${key}`);
  if (Array.isArray(value)) {
    return Object.assign(
      { [below('#')]: String(value.length) },
      ...value.map((item, i) => flat(item, below(String(i)))),
    ) as Record<string, string>;
  }
  if (typeof value === 'object' && value !== null) {
    return Object.assign({}, ...Object.entries(value).map(([key, item]) => flat(item, below(key)))) as Record<
      string,
      string
    >;
  }
  return { [path]: typeof value === 'string' ? value : JSON.stringify(value) };
}

const text = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ maxLength: 40 }),
    fc
      .array(fc.constantFrom(...Array.from('\n\t\r\b\f"\\$`\'/{}[],: \u0001\u001b\u001fé€😀')), { maxLength: 20 })
      .map((all) => all.join('')),
  )
  .filter((value) => !value.includes('\0') && !/\p{Surrogate}/u.test(value));
const key = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_ '"\\-]{0,8}$/);
const document = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    text,
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value;

describe('the JSON reader in bash', () => {
  it('reads what JSON.stringify writes', () => {
    fc.assert(
      fc.property(
        fc.dictionary(key, document, { maxKeys: 5, noNullPrototype: true }),
        fc.constantFrom(0, 2),
        (value, indent) => {
          expect(read(JSON.stringify(value, null, indent))).toEqual(flat(value));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('reads every escape, with surrogate pairs', () => {
    const json = String.raw`{"a":"\u00e9\u20AC\ud83d\ude00\"\\\/\b\f\n\r\t\u0001é€😀"}`;
    expect(read(json)).toEqual({ a: (JSON.parse(json) as { a: string }).a });
  });

  it.each([
    String.raw`{"a":"\u0000"}`,
    String.raw`{"a":"\ud800"}`,
    String.raw`{"a":"\ud800A"}`,
    String.raw`{"a":"\x"}`,
    '{"a":"open',
    '{"a" 1}',
    '{"a":1 "b":2}',
    '{"a":nope}',
    '{"a":$(id)}',
    '{"run":"../x"}',
    '{"run":"UPPER"}',
  ])('refuses %s', (json) => {
    expect(JSON.parse(bash(json, 'echo reached >&3').toString())).toMatchObject({
      ok: false,
      refused: true,
      code: 'InvalidInput',
    });
  });
});

describe('the JSON writer in bash', () => {
  it('writes strings that JSON.parse reads', () => {
    fc.assert(
      fc.property(text, (value) => {
        const answer = bash(JSON.stringify({ value }), 'js "${IN[value]}"; answer "$REPLY"').toString();
        expect(answer.trimEnd()).not.toContain('\n');
        expect(JSON.parse(answer)).toEqual({ ok: true, result: value });
      }),
      { numRuns: 60 },
    );
  });

  it('shows bytes that are no UTF-8 as such', () => {
    const answer = bash('{}', String.raw`js $'a\xff\xe9"\n'; answer "$REPLY"`);
    expect(JSON.parse(answer.toString())).toEqual({ ok: true, result: 'a\\xff\\xe9"\n' });
  });
});
