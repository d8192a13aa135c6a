/**
 * The guest scripts for Windows, as far as they can be tested without one: a parser reads them, and what they call must be
 * there in Windows PowerShell 5.1. Nothing here runs them.
 */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Language, type Node, Parser } from 'web-tree-sitter';
import { guestScript } from '../../src/guest/assemble.ts';
import { POWERSHELL_PARTS, powershellText } from '../../src/guest/powershell.ts';
import type { GuestScripts, ScriptName } from '../../src/guest/scripts.ts';
import { HEALTHY } from '../faults/guest-answers.ts';

const names = Object.keys(POWERSHELL_PARTS) as ScriptName[];

/** Every command of Windows that the scripts may call, with the parameters of theirs that 5.1 has. */
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  'Add-PartitionAccessPath': ['DiskNumber', 'PartitionNumber', 'AccessPath'],
  'ConvertFrom-Json': ['InputObject'],
  'ConvertTo-Json': ['InputObject', 'Compress', 'Depth'],
  'ForEach-Object': [],
  'Get-Acl': ['LiteralPath'],
  'Get-ChildItem': ['LiteralPath', 'Force', 'ErrorAction'],
  'Get-CimInstance': ['Namespace', 'ClassName', 'ErrorAction'],
  'Get-Command': ['Name', 'ErrorAction'],
  'Get-Date': [],
  'Get-Disk': ['Number'],
  'Get-FileHash': ['LiteralPath', 'Algorithm'],
  'Get-Partition': ['DiskNumber', 'PartitionNumber', 'ErrorAction'],
  'Get-PartitionSupportedSize': ['DiskNumber', 'PartitionNumber'],
  'Get-PhysicalDisk': [],
  'Get-Process': ['Id', 'ErrorAction'],
  'Get-Random': ['Minimum', 'Maximum'],
  'Invoke-CimMethod': ['ClassName', 'MethodName', 'Arguments'],
  'Join-Path': ['Path', 'ChildPath'],
  'Move-Item': ['LiteralPath', 'Destination', 'Force'],
  'New-Object': [],
  'Out-Null': [],
  'Remove-PartitionAccessPath': ['DiskNumber', 'PartitionNumber', 'AccessPath', 'ErrorAction'],
  'Remove-TypeData': ['TypeName', 'ErrorAction'],
  'Resize-Partition': ['DiskNumber', 'PartitionNumber', 'Size'],
  'Set-Disk': ['Number', 'IsOffline', 'IsReadOnly', 'Guid', 'Signature', 'ErrorAction'],
  'Set-Partition': ['DiskNumber', 'PartitionNumber', 'NoDefaultDriveLetter'],
  'Set-StrictMode': ['Version'],
  'Sort-Object': ['Property'],
  'Start-Sleep': ['Milliseconds'],
  'Stop-Process': ['Id', 'Force'],
  'Test-Path': ['LiteralPath'],
  'Update-HostStorageCache': [],
  'Where-Object': [],
};
type Names<T> = ReadonlyArray<Exclude<keyof T & string, 'run' | 'bootId'>>;
/** What each script is sent, as `GuestScripts` has it. */
const INPUT_OF: { readonly [N in ScriptName]?: Names<GuestScripts[N]['input']> } = {
  'guest-ready': ['waitSeconds'],
  'look-around': ['originalSerial', 'hooks'],
  'check-paths': ['originalSerial', 'paths'],
  'find-device': [
    'originalSerial',
    'originalSizeBytes',
    'recoverySerial',
    'recoverySizeBytes',
    'waitSeconds',
    'disksBefore',
    'paths',
  ],
  mount: ['fileSystems'],
  'copy-engine': [],
  'copy-start': ['mounts', 'conflictPolicy', 'base', 'deletions', 'again'],
  'copy-status': ['job', 'waitSeconds'],
  'verify-start': [],
  'verify-result': [],
  unmount: ['recoverySerial'],
  'original-in-place': ['originalSerial'],
  'run-state': [],
  'disk-use': ['serial'],
  grow: ['originalSerial'],
};
/** Where a Windows guest answers something else than the Linux guest of the samples. */
const ANSWER_OF: { readonly [N in ScriptName]?: Partial<Record<keyof GuestScripts[N]['result'], unknown>> } = {
  'look-around': { ...HEALTHY['look-around'], powershell: '' },
  'verify-result': { ...HEALTHY['verify-result'], bytesKeptLive: 0, aside: [], verdicts: {} },
};
/** Set by PowerShell, or by the lines around a script. */
const GIVEN = new Set(
  '$_ $true $false $null $Matches $LASTEXITCODE $PSHOME $PSVersionTable $InputB64 $ScriptText $ErrorActionPreference'
    .toLowerCase()
    .split(' '),
);

let parser: Parser;
beforeAll(async () => {
  await Parser.init();
  const grammar = fileURLToPath(import.meta.resolve('tree-sitter-powershell/tree-sitter-powershell.wasm'));
  parser = new Parser();
  parser.setLanguage(await Language.load(grammar));
});

function parse(text: string): Node {
  const tree = parser.parse(text);
  if (tree === null) throw new Error('not parsed');
  return tree.rootNode;
}
/** Lines that the parser does not understand. */
function errorsOf(text: string): string[] {
  const root = parse(text);
  const lines = text.split('\n');
  return root.hasError
    ? all(root)
        .filter((node) => node.isError || node.isMissing)
        .map((node) => lines[node.startPosition.row] ?? '')
    : [];
}
const all = (node: Node): Node[] => [node, ...node.children.flatMap((child) => (child === null ? [] : all(child)))];
const ofType = (root: Node, ...types: string[]): Node[] =>
  root.descendantsOfType(types).flatMap((node) => (node === null ? [] : [node]));

const variables = (root: Node): Array<{ name: string; node: Node }> =>
  ofType(root, 'variable').map((node) => ({
    name: `$${node.text.replace(/^\$\{?(script:)?/i, '').replace(/\}$/, '')}`.toLowerCase(),
    node,
  }));

describe.each(names)('%s.ps1', (name) => {
  const text = powershellText(name) ?? '';

  it('is understood by a parser', () => {
    expect(errorsOf(text)).toEqual([]);
  });

  it('calls only what Windows PowerShell 5.1 has', () => {
    const root = parse(text);
    const own = ofType(root, 'function_name').map((node) => node.text);
    const calls = ofType(root, 'command').map((node) => {
      const command = node.children.find((child) => child?.type === 'command_name')?.text ?? '';
      const parameters = ofType(node, 'command_parameter')
        .filter((parameter) => nearest(parameter, 'command')?.equals(node))
        .map((parameter) => parameter.text.replace(/^-/, ''));
      return { command, parameters };
    });
    const unknown = calls.flatMap(({ command, parameters }) => {
      // `& $block` and `. $file` have no name.
      if (command === '' || own.includes(command)) return [];
      const known = COMMANDS[command];
      if (known === undefined) return [command];
      return parameters
        .filter((parameter) => !known.includes(parameter))
        .map((parameter) => `${command} -${parameter}`);
    });
    expect(unknown).toEqual([]);
    // Set-Disk takes a disk on- or offline in one call, and sets its attributes in another.
    const ofBoth = calls.filter(
      ({ command, parameters }) =>
        command === 'Set-Disk' &&
        parameters.includes('IsOffline') &&
        ['IsReadOnly', 'Guid', 'Signature'].some((attribute) => parameters.includes(attribute)),
    );
    expect(ofBoth).toEqual([]);
    expect(calls.length).toBeGreaterThan(5);
    // Chains, the null-conditional and the ternary operator are PowerShell 7's.
    expect(ofType(root, 'pipeline_chain_tail').map((node) => node.text)).toEqual([]);
    expect(text).not.toMatch(/\?\?|\?\.|\$Is(Windows|Linux|MacOS)\b|-AsHashtable\b|-AsByteStream\b|::new\(/i);
  });

  it('reads no variable that nothing sets: strict mode would end it', () => {
    const root = parse(text);
    const set = new Set(GIVEN);
    const used = variables(root);
    for (const { name: variable, node } of used) {
      const loop = nearest(node, 'foreach_statement');
      const isLoopVariable = loop?.children.find((child) => child?.type === 'variable')?.equals(node) === true;
      // Not what is only added to, nor what an element or a property of is set.
      const isAssigned =
        nearest(node, 'left_assignment_expression')?.text === node.text &&
        nearest(node, 'assignment_expression')?.children[1]?.text === '=';
      if (isAssigned || isLoopVariable || nearest(node, 'script_parameter') !== null) set.add(variable);
    }
    expect([...new Set(used.map(({ name: variable }) => variable))].filter((v) => !set.has(v))).toEqual([]);
    expect(used.length).toBeGreaterThan(50);
  });

  it('survives that comments and indentation are taken away', () => {
    expect(text).not.toMatch(/@['"]\n/);
    expect(text).not.toMatch(/<#/);
    expect(text).not.toMatch(/`$/m);
  });

  it('never evaluates what it was given', () => {
    expect(text).not.toMatch(/Invoke-Expression|\biex\b|\[ScriptBlock\]::Create|-EncodedCommand|Add-Type/i);
  });

  it('is delivered in lines that the parser understands, with nothing of the input in them', () => {
    const script = guestScript(name, { run: `'; Remove-Item C:\\ -Recurse; '` }, 'windows');
    expect(errorsOf(script)).toEqual([]);
    expect(script).not.toContain('Remove-Item');
    expect(script).toMatch(/^[\t\n\x20-\x7e]*$/);
    expect(Buffer.from(script).toString('base64').length).toBeLessThan(18 * 1024);
  });
});

function nearest(node: Node, type: string): Node | null {
  for (let at = node.parent; at !== null; at = at.parent) if (at.type === type) return at;
  return null;
}

/** Fields that the contract leaves out where they say nothing. */
const MAY_BE_ABSENT = ['notBroughtBack', 'report', 'volume', 'volumeUuid', 'subvolume'];
/** Inputs of which a Windows guest needs nothing. */
const NOT_FOR_WINDOWS = ['base', 'hooks', 'disksBefore', 'deletions', 'again'];

describe.each(names)('the contract of %s', (name) => {
  const root = () => parse(powershellText(name) ?? '');

  it('is answered with every field that the bash script answers, and no other', () => {
    // `copy-engine` answers nothing, `verify-result` what the verification has written.
    const text = name === 'verify-result' ? (powershellText('verify-start') ?? '') : (powershellText(name) ?? '');
    const answers = ofType(parse(text), 'hash_literal_expression').map((hash) => keysOf(hash));
    const wanted = Object.keys(ANSWER_OF[name] ?? HEALTHY[name]).filter((key) => !MAY_BE_ABSENT.includes(key));
    expect(answers.map((keys) => keys.sort().join())).toContain(wanted.sort().join());
  });

  it('asks the input for nothing but what is sent', () => {
    const asked = ofType(root(), 'command')
      .filter((node) => /^Get-(Needed|Field) \$In\b/.test(node.text))
      .flatMap((node) => /'([A-Za-z]+)'/.exec(node.text)?.[1] ?? []);
    const input: readonly string[] = INPUT_OF[name] ?? [];
    // The job that `copy-engine` leaves in the guest reads what `copy-start` was sent.
    const ofJob: readonly string[] = (name === 'copy-engine' && INPUT_OF['copy-start']) || [];
    const sent = ['run', 'bootId', ...input, ...ofJob];
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.filter((key) => !sent.includes(key))).toEqual([]);
    const text = powershellText(name) ?? '';
    expect(input.filter((key) => !NOT_FOR_WINDOWS.includes(key) && !text.includes(`'${key}'`))).toEqual([]);
  });
});

const keysOf = (hash: Node): string[] =>
  ofType(hash, 'key_expression')
    .filter((key) => nearest(key, 'hash_literal_expression')?.equals(hash))
    .map((key) => key.text.replaceAll("'", ''));

describe('the checks themselves', () => {
  it.each(['if ($a { 1 }', '$a = $b ?? 1', '$a = $b ? 1 : 2', 'foreach ($a in $b { }', "'open"])('see %s', (text) => {
    expect(errorsOf(text)).not.toEqual([]);
  });
});
