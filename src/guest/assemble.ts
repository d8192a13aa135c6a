/**
 * Puts a guest script together as Cloud Assistant gets it, and reads its answer back. Input travels as one Base64 JSON
 * blob and is never spliced into shell; the script itself travels gzipped, so that long lists of paths fit beside it.
 */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { powershellScript } from './powershell.ts';
import type { ScriptAnswer, ScriptName } from './scripts.ts';

/** What a script is made of, in order: files in `scripts/`. */
const PARTS: Readonly<Record<ScriptName, readonly string[]>> = {
  'guest-ready': ['lib', 'guest-ready'],
  'check-paths': ['lib', 'disks', 'check-paths'],
  'look-around': ['lib', 'disks', 'look-around'],
  'find-device': ['lib', 'disks', 'others', 'find-device'],
  mount: ['lib', 'disks', 'names', 'group', 'mount'],
  'copy-engine': ['lib', 'flags', 'attributes', 'rate', 'plan', 'copy-engine'],
  'copy-start': ['lib', 'job', 'names', 'tree', 'protected', 'open-files', 'kept', 'copy-start'],
  'copy-status': ['lib', 'job', 'copy-status'],
  'verify-start': ['lib', 'job', 'names', 'tree', 'kept', 'residue', 'verify-start'],
  'verify-result': ['lib', 'verify-result'],
  'put-list': ['lib', 'put-list'],
  report: ['lib', 'names', 'kept', 'report'],
  restore: ['lib', 'kept', 'asides', 'restore'],
  discard: ['lib', 'kept', 'asides', 'discard'],
  unmount: ['lib', 'disks', 'job', 'names', 'flags', 'group', 'unmount'],
  'original-in-place': ['lib', 'disks', 'original-in-place'],
  freeze: ['lib', 'disks', 'freezer', 'freeze'],
  thaw: ['lib', 'freezer', 'thaw'],
  'disk-use': ['lib', 'disks', 'disk-use'],
  'look-into-copy': ['lib', 'look-into-copy'],
  hook: ['lib', 'job', 'hook'],
  grow: ['lib', 'disks', 'grow'],
  'list-disks': ['lib', 'disks', 'list-disks'],
  'run-state': ['lib', 'job', 'run-state'],
};

/** Cloud Assistant takes 24 KB after Base64 of a command that is not kept (the service's documented limit). */
const MAX_BASE64_BYTES = 24 * 1024;

const pack = (name: ScriptName): string => {
  const text = PARTS[name]
    .map((part) => readFileSync(new URL(`./scripts/${part}.sh`, import.meta.url), 'utf8'))
    .join('')
    // Comments and indentation stay at home: the room is needed for paths.
    .replaceAll(/^[ \t]*#.*\n/gm, '')
    .replaceAll(/^[ \t]+/gm, '');
  return (
    gzipSync(text, { level: 9 })
      .toString('base64')
      .match(/.{1,120}/g) ?? []
  ).join('\n');
};
const PACKED = new Map((Object.keys(PARTS) as ScriptName[]).map((name) => [name, pack(name)]));

/** Answered by the few lines that must run before the script proper, when even they cannot. */
const UNPACK_FAILED = JSON.stringify({
  ok: false,
  refused: true,
  code: 'GuestTooBare',
  message: 'the guest cannot unpack the script: it needs base64 (coreutils) and gzip',
});

const base64Length = (bytes: number) => Math.ceil(bytes / 3) * 4;

const bashScript = (name: ScriptName, blob: string): string => `#!/bin/bash
# ecs-rollback, guest script ${name}
INPUT_B64='${blob}'
SCRIPT=$(base64 -d <<'PACKED' | gzip -dc
${PACKED.get(name)}
PACKED
)
[ -n "$SCRIPT" ] || { echo '${UNPACK_FAILED}'; exit 0; }
eval "$SCRIPT"
`;

/**
 * The text of a script for `RunCommand`, bash or PowerShell, at most 24 KB after Base64; `input` as `GuestScripts` has it.
 * Throws a RangeError that names the largest field when the input does not fit, or the script that has no twin for Windows.
 */
export function guestScript(name: ScriptName, input: object, osType: 'linux' | 'windows' = 'linux'): string {
  const blob = Buffer.from(JSON.stringify(input), 'utf8').toString('base64');
  const script = osType === 'windows' ? powershellScript(name, blob) : bashScript(name, blob);
  const size = base64Length(Buffer.byteLength(script));
  if (size > MAX_BASE64_BYTES) {
    const fields = Object.entries(input).map(([field, value]) => ({
      field,
      bytes: Buffer.byteLength(JSON.stringify(value) ?? ''),
    }));
    const largest = fields.sort((a, b) => b.bytes - a.bytes)[0];
    const room = Math.floor(((MAX_BASE64_BYTES - base64Length(Buffer.byteLength(script) - blob.length)) * 9) / 16);
    throw new RangeError(
      `${largest?.field ?? 'input'} is too long for the guest script ${name}: the whole input has ${Buffer.byteLength(JSON.stringify(input))} bytes where about ${room} fit; name fewer or shorter paths, or a directory above them`,
    );
  }
  return script;
}

const failure = (message: string): ScriptAnswer<never> => ({ ok: false, refused: false, code: 'NoAnswer', message });

const isAnswer = (value: unknown): boolean => {
  if (typeof value !== 'object' || value === null || !('ok' in value)) return false;
  if (value.ok === true) return 'result' in value;
  return (
    value.ok === false &&
    'refused' in value &&
    typeof value.refused === 'boolean' &&
    'code' in value &&
    typeof value.code === 'string' &&
    'message' in value &&
    typeof value.message === 'string'
  );
};

/**
 * The answer in a script's output: the JSON document on its last line. `dropped` is the number of bytes that Cloud
 * Assistant cut off. Output that is no answer gives code `NoAnswer` and is never quoted: it could hold file contents.
 */
export function parseAnswer<T>(output: Buffer, dropped: number): ScriptAnswer<T> {
  const last = output.toString('utf8').trimEnd().split('\n').at(-1) ?? '';
  let value: unknown;
  try {
    value = JSON.parse(last);
  } catch {
    value = undefined;
  }
  if (isAnswer(value)) return value as ScriptAnswer<T>;
  if (dropped > 0) return failure(`the script's output was cut: ${dropped} bytes are missing`);
  if (output.length === 0) return failure('the script ended without any output: it was killed, or bash is missing');
  return failure(`the last line of the script's ${output.length} bytes of output is not its answer`);
}
