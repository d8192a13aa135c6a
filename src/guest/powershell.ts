/**
 * The twins of the guest scripts for Windows, for Windows PowerShell 5.1: the same inputs and answers as the bash ones.
 * Nobody has run them on a real Windows yet.
 */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import type { ScriptName } from './scripts.ts';

/** What a script is made of, in order: files in `scripts/`. Scripts that are not here have no twin. */
export const POWERSHELL_PARTS: Readonly<Partial<Record<ScriptName, readonly string[]>>> = {
  'guest-ready': ['lib', 'guest-ready'],
  'look-around': ['lib', 'disks', 'look-around'],
  'check-paths': ['lib', 'disks', 'check-paths'],
  'find-device': ['lib', 'disks', 'find-device'],
  mount: ['lib', 'disks', 'mount'],
  'copy-engine': ['lib', 'job', 'tree', 'copy-engine'],
  'copy-start': ['lib', 'job', 'copy-start'],
  'copy-status': ['lib', 'job', 'copy-status'],
  'verify-start': ['lib', 'job', 'tree', 'verify-start'],
  'verify-result': ['lib', 'verify-result'],
  unmount: ['lib', 'disks', 'job', 'unmount'],
  'original-in-place': ['lib', 'disks', 'original-in-place'],
  'run-state': ['lib', 'disks', 'job', 'run-state'],
  'disk-use': ['lib', 'disks', 'disk-use'],
  grow: ['lib', 'disks', 'grow'],
};

/** Text of a script without what only its readers need. Here-strings would not survive this: a test keeps them out. */
export function powershellText(name: ScriptName): string | undefined {
  return POWERSHELL_PARTS[name]
    ?.map((part) => readFileSync(new URL(`./scripts/${part}.ps1`, import.meta.url), 'utf8'))
    .join('')
    .replaceAll(/^[ \t]*#.*\n/gm, '')
    .replaceAll(/^[ \t]+/gm, '');
}

const pack = (text: string): string =>
  (
    gzipSync(text, { level: 9 })
      .toString('base64')
      .match(/.{1,120}/g) ?? []
  ).join('\n');
const PACKED = new Map<string, string>();
for (const name of Object.keys(POWERSHELL_PARTS) as ScriptName[]) PACKED.set(name, pack(powershellText(name) ?? ''));

/** Answered by the few lines that must run before the script proper, when even they cannot. */
const UNPACK_FAILED = JSON.stringify({
  ok: false,
  refused: true,
  code: 'GuestTooBare',
  message: 'the guest cannot unpack the script: it needs PowerShell 3 or newer in full language mode',
});

/**
 * The script as the agent writes it into a file: pure ASCII, since Windows PowerShell reads a file without a mark in the
 * code page of the machine. `blob`: the input, Base64. Throws a RangeError for a script that has no twin.
 */
export function powershellScript(name: ScriptName, blob: string): string {
  const packed = PACKED.get(name);
  if (packed === undefined) throw new RangeError(`${name} is not there for Windows guests`);
  return `# ecs-rollback, guest script ${name}
$ErrorActionPreference = 'Stop'
$InputB64 = '${blob}'
$Packed = @'
${packed}
'@
try {
$Bytes = [Convert]::FromBase64String($Packed)
$Zipped = New-Object IO.MemoryStream(,$Bytes)
$Plain = New-Object IO.Compression.GZipStream($Zipped, [IO.Compression.CompressionMode]::Decompress)
$Reader = New-Object IO.StreamReader($Plain, [Text.Encoding]::UTF8)
$ScriptText = $Reader.ReadToEnd()
$Script = [ScriptBlock]::Create($ScriptText)
} catch { '${UNPACK_FAILED}'; exit 0 }
. $Script
`;
}
