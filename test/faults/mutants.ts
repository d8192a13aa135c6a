/**
 * Guards, each with the change that takes it away and the test that must then fail. `npm run test:mutants` makes each
 * change on a copy of the tree and runs that test; `static/mutants` checks in CI that every change still fits.
 */

export interface Mutant {
  /** The guard that is missing. */
  readonly without: string;
  readonly file: string;
  /** Found exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** Project of vitest, and file below `test/`. */
  readonly project: 'unit' | 'activities' | 'workflow';
  readonly testFile: string;
  /** The test that must fail, by its name in the file: `%s` stands for anything. */
  readonly test: string;
}

const ROLLBACK = 'src/workflows/rollback-disk.ts';
const RESET = 'src/activities/reset.ts';
const RECOVERY = 'src/activities/recovery-disk.ts';
const SNAPSHOTS = 'src/activities/snapshots.ts';
const OPERATOR = 'src/workflows/operator.ts';
const SWEEP = 'src/domain/sweep.ts';

const effects = { project: 'activities', testFile: 'activities/effects.test.ts' } as const;
const snapshots = { project: 'activities', testFile: 'activities/snapshots.test.ts' } as const;
const rollback = { project: 'workflow', testFile: 'workflow/rollback-disk.test.ts' } as const;
const operator = { project: 'workflow', testFile: 'workflow/operator.test.ts' } as const;
const lease = { project: 'workflow', testFile: 'workflow/lease.test.ts' } as const;
const sweep = { project: 'unit', testFile: 'unit/domain/sweep.test.ts' } as const;

export const MUTANTS: readonly Mutant[] = [
  {
    without: 'the gate',
    file: ROLLBACK,
    find: '    await passGate(run, scene);\n',
    replace: '',
    ...rollback,
    test: 'a closed gate puts the instance back and never resets',
  },
  {
    without: "the gate's look at snapshot B being finished",
    file: RESET,
    find: "safety.sourceDiskId !== input.diskId || safety.status !== 'accomplished') &&",
    replace: 'safety.sourceDiskId !== input.diskId) &&',
    ...effects,
    test: 'the gate is closed while B is unfinished, and open after',
  },
  {
    without: "the gate's look at whose snapshot B is",
    file: RESET,
    find: 'safety.tags[TAG.run] !== input.run &&',
    replace: 'safety.tags[TAG.run] === undefined &&',
    ...effects,
    test: 'the gate is closed for a snapshot B of another run',
  },
  {
    without: "the gate's look at the last start of the instance",
    file: RESET,
    find: 'Date.parse(safety.createdAt) < Date.parse(instance.startedAt) &&',
    replace: 'instance.startedAt === safety.id &&',
    ...effects,
    test: 'the gate is closed when the instance was started after B was taken',
  },
  {
    without: 'the order of stop, B and reset',
    file: ROLLBACK,
    find: "    if (mode === 'hot') await takeSafetySnapshot(run, scene, mode);\n",
    replace: "    if (mode !== 'warm') await takeSafetySnapshot(run, scene, mode);\n",
    ...rollback,
    test: 'does the eight steps in the order of the design, each effect once',
  },
  {
    without: 'the wait for the end of snapshot B',
    file: 'src/workflows/safety-snapshot.ts',
    find: '      const { sizeGiB } = await accomplished(summary, scene, snapshotId);\n',
    replace: '      const sizeGiB = 1;\n',
    ...rollback,
    test: 'a failed snapshot B puts the instance back and never resets',
  },
  {
    without: 'the re-read before a second ResetDisk',
    file: RESET,
    find: '      if (!isFirst) {\n',
    replace: "      if (!isFirst && input.run === '') {\n",
    ...effects,
    test: 'ResetDisk is never repeated once the instance has started',
  },
  {
    without: 'the fence against a ResetDisk after the start',
    file: RESET,
    find: "        if (instance?.status !== 'Stopped') {\n",
    replace: "        if (instance?.status === 'Pending') {\n",
    ...effects,
    test: 'ResetDisk is never repeated once the instance has started',
  },
  {
    without: "the dry run that tells a reset's end from its beginning",
    file: RESET,
    find: "agreed = probe === 'idle' ? agreed + 1 : 0;",
    replace: 'agreed += 1;',
    project: 'activities',
    testFile: 'activities/waits.test.ts',
    test: 'a reset is waited for although the disk reads %s meanwhile',
  },
  {
    without: 'the memory that an earlier step has sent ResetDisk',
    file: ROLLBACK,
    find: '[{ ...resetInput(run, scene), sentBefore }]',
    replace: '[{ ...resetInput(run, scene), sentBefore: sentBefore && run.id === undefined }]',
    ...operator,
    test: 'a ResetDisk whose outcome is unknown is asked about, and a retry says that it was sent before',
  },
  {
    without: 'KeepCharging',
    file: 'src/cloud/alicloud/client.ts',
    find: "new models.StopInstanceRequest({ instanceId, stoppedMode: 'KeepCharging', forceStop: force })",
    replace: 'new models.StopInstanceRequest({ instanceId, forceStop: force })',
    project: 'activities',
    testFile: 'activities/power.test.ts',
    test: 'a stop keeps the capacity whatever the default of the account is',
  },
  {
    without: 'the look at whether the stop has given the capacity up',
    file: 'src/activities/instances.ts',
    find: "      if (stopped?.stoppedMode === 'StopCharging') {\n",
    replace: "      if (stopped?.stoppedMode === '') {\n",
    project: 'activities',
    testFile: 'activities/power.test.ts',
    test: 'a stop by somebody else that gave the capacity up ends the wait for it',
  },
  {
    without: 'the look before StartInstance',
    file: 'src/activities/instances.ts',
    find: "if (status === 'Running' || status === 'Starting') return { sent: false };",
    replace: '',
    ...effects,
    test: 'StartInstance is sent once',
  },
  {
    without: 'the ClientToken of CreateSnapshot',
    file: SNAPSHOTS,
    find: "clientToken: clientToken(input.run, [purpose, ...before.map(({ id }) => id).sort()].join('/')),",
    replace: 'clientToken: clientToken(input.run, String(Math.random())),',
    ...snapshots,
    test: 'makes one although the first call arrives after the second: the ClientToken is the same',
  },
  {
    without: 'the ClientToken of CreateDisk',
    file: RECOVERY,
    find: "clientToken: clientToken(input.run, 'recovery-disk'),",
    replace: 'clientToken: clientToken(input.run, String(Math.random())),',
    ...effects,
    test: 'CreateDisk makes one disk although the first call arrives after the second: the ClientToken is the same',
  },
  {
    without: 'the ClientToken of RunCommand',
    file: 'src/activities/guest-runner.ts',
    find: '{ token: clientToken(effect, String(delivery)), number: delivery },',
    replace: '{ token: clientToken(effect, String(Math.random())), number: delivery },',
    project: 'activities',
    testFile: 'activities/guest-runner.test.ts',
    test: 'a lost reply of RunCommand does not run the script twice',
  },
  {
    without: 'the look at whose disk it is before attach, detach and delete',
    file: RECOVERY,
    find: '    if (!isOurs) {\n',
    replace: "    if (!isOurs && disk.id === '') {\n",
    ...effects,
    test: '%s leaves alone what is not the run’s recovery disk',
  },
  {
    without: 'the look at whose snapshot it is before a delete',
    file: SNAPSHOTS,
    find: '        if (!isOurs || snapshot.sourceDiskId !== input.diskId) {\n',
    replace: "        if (!isOurs && snapshot.id === '') {\n",
    ...snapshots,
    test: 'leaves %s alone',
  },
  {
    without: 'the lease',
    file: 'src/workflows/lease.ts',
    find: '      workflowId: leaseWorkflowId(instanceId),\n',
    replace: '      workflowId: `${leaseWorkflowId(instanceId)}/${run.id}`,\n',
    ...lease,
    test: 'a second run fails at once, names the holder and changes nothing',
  },
  {
    without: "the gate's look at the lease",
    file: ROLLBACK,
    find: '      if (!scene.lease.isHeld()) {\n',
    replace: "      if (!scene.lease.isHeld() && run.id === '') {\n",
    ...lease,
    test: 'a lease that was ended by hand closes the gate',
  },
  {
    without: 'the start of the instance when things are put back',
    file: ROLLBACK,
    find: '    if (run.stoppedByUs) {\n',
    replace: "    if (run.stoppedByUs && run.id === '') {\n",
    ...rollback,
    test: 'a failed snapshot B puts the instance back and never resets',
  },
  {
    without: 'putting things back whatever is cancelled',
    file: ROLLBACK,
    find: '  await CancellationScope.nonCancellable(() => putBack(run, scene));\n',
    replace: '  await putBack(run, scene);\n',
    ...rollback,
    test: 'cancel while snapshot B is made starts the instance again and keeps B',
  },
  {
    without: 'the release of the recovery disk whatever is cancelled',
    file: 'src/workflows/bring-back.ts',
    find: 'await CancellationScope.nonCancellable(() => tryToRelease(run, scene));',
    replace: 'await tryToRelease(run, scene);',
    ...rollback,
    test: 'cancel during the copy releases the recovery disk and ends as cancelled',
  },
  {
    without: 'the unmount before the detach',
    file: 'src/workflows/bring-back.ts',
    find: "      if (run.hasBegun('mountRecoveryDisk') || run.recoveryDiskMayBeInUse) {\n",
    replace: "      if (run.id === '') {\n",
    ...rollback,
    test: 'what cannot be unmounted is neither detached nor deleted, and is listed',
  },
  {
    without: 'the wait for the boot before the recovery disk is attached',
    file: ROLLBACK,
    find: '          return awaitBooted(summary);\n',
    replace: '          return undefined;\n',
    ...rollback,
    test: 'does the eight steps in the order of the design, each effect once',
  },
  {
    without: 'the comparison of what was copied',
    file: 'src/workflows/bring-back.ts',
    find: '  if (!receipt.verified) {\n',
    replace: "  if (!receipt.verified && run.id === '') {\n",
    ...rollback,
    test: 'a copy that does not compare equal is not called completed',
  },
  {
    without: 'the plan that an approval is bound to',
    file: OPERATOR,
    find: '      planHash === asked.planHash,\n',
    replace: "      planHash !== '',\n",
    ...operator,
    test: 'is bound to the plan: another hash is refused',
  },
  {
    without: 'the second person',
    file: OPERATOR,
    find: '    refuseUnless(!own, `',
    replace: "    refuseUnless(!own || by !== '', `",
    ...operator,
    test: 'the requester cannot approve when told so, and may otherwise',
  },
  {
    without: 'the quorum',
    file: OPERATOR,
    find: 'const decided = () => this.#approvals.length >= policy.quorum ||',
    replace: 'const decided = () => this.#approvals.length > 0 ||',
    ...operator,
    test: 'nothing is changed before the quorum is there; who, when and why are in the result',
  },
  {
    without: 'the lapse of an approval on drift',
    file: 'src/workflows/clearance.ts',
    find: 'if (now.hash === plan.hash || input.approval === undefined) return',
    replace: "if (now.hash !== '' || input.approval === undefined) return",
    ...operator,
    test: 'lapses when the world has drifted since, and has to be given again for the new plan',
  },
  {
    without: 'the comparison with the plan that was read',
    file: 'src/workflows/clearance.ts',
    find: 'if (input.expectedPlanHash !== undefined && input.expectedPlanHash !== plan.hash) {',
    replace: "if (input.expectedPlanHash !== undefined && plan.hash === '') {",
    ...operator,
    test: 'is refused when what is there now is not what was planned',
  },
  {
    without: 'the look at whether a skipped step is done',
    file: 'src/workflows/decisions.ts',
    find: "      if (holds) return 'skip';\n",
    replace: "      if (holds || seen !== '') return 'skip';\n",
    ...operator,
    test: 'is skipped only when its outcome is observed',
  },
  {
    without: 'the rule of a sweep that safety snapshots stay',
    file: SWEEP,
    find: "if (kind === 'disk' ? purpose === 'recovery-disk' : purpose === 'warm-up-snapshot') return null;",
    replace: "if (kind === 'disk' ? purpose === 'recovery-disk' : purpose !== '') return null;",
    ...sweep,
    test: 'by the rule "%s" and no other: %s',
  },
  {
    without: 'the rule of a sweep that open runs keep what they have',
    file: SWEEP,
    find: 'keeps: ({ openRuns }) => (openRuns.length === 0 ? null :',
    replace: "keeps: ({ openRuns }) => (openRuns.length === 0 || openRuns[0] !== '' ? null :",
    ...sweep,
    test: 'by the rule "%s" and no other: %s',
  },
  {
    without: 'the rule of a sweep that original disks stay',
    file: SWEEP,
    find: "      if (diskKind !== 'data') return 'it is not a data disk';\n      return snapshotsOfIt.length === 0\n",
    replace: "      if (diskKind !== 'data') return 'it is not a data disk';\n      return snapshotsOfIt.length >= 0\n",
    ...sweep,
    test: 'by the rule "%s" and no other: %s',
  },
  {
    without: 'the second look of a sweep',
    file: 'src/activities/sweep.ts',
    find: '    if (!verdict.doomed) throw',
    replace: "    if (!verdict.doomed && leftover.id === '') throw",
    project: 'workflow',
    testFile: 'workflow/sweep.test.ts',
    test: 'what changes between the look and the deletion: the activity asks the rules again',
  },
  {
    without: "the look at an instance's system before a script is chosen",
    file: 'src/activities/guest-runner.ts',
    find: '    const osType = await osTypeOf(ref);\n',
    replace: "    const osType: OsType = ref.instanceId === '' ? await osTypeOf(ref) : 'linux';\n",
    project: 'activities',
    testFile: 'activities/windows.test.ts',
    test: 'a Windows guest gets PowerShell, a Linux guest beside it gets bash',
  },
];
