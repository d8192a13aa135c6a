/** Clock, store, output limit and parameter substitution of the simulator. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cutOutput, substitute } from '../../../simulator/actions/cloud-assistant.ts';
import { CallLog, loggable } from '../../../simulator/engine/call-log.ts';
import { Clock } from '../../../simulator/engine/clock.ts';
import { defaultSwitches, type InvocationState, type World } from '../../../simulator/state/model.ts';
import { loadWorld, StateFolder } from '../../../simulator/state/store.ts';

describe('clock', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('runs at its speed, also when that changes under a wait', async () => {
    const clock = new Clock(5_000, 10);
    let rang = false;
    const wait = async (): Promise<void> => {
      await clock.until(25_000);
      rang = true;
    };
    void wait();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(clock.now()).toBeCloseTo(15_000, -1);
    clock.setSpeed(1);
    await vi.advanceTimersByTimeAsync(9_000);
    expect(rang).toBe(false);
    await vi.advanceTimersByTimeAsync(1_010);
    expect(rang).toBe(true);
  });

  it('a wait ends with its signal', async () => {
    const clock = new Clock(0, 1);
    const controller = new AbortController();
    const wait = clock.until(1_000_000, controller.signal);
    controller.abort(new Error('over'));
    await expect(wait).rejects.toThrow('over');
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('store', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ecs-simulator-store-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('has on disk whatever was changed before save was called, under any number of callers', async () => {
    const world = { format: 3, nextSeq: 0 } as World;
    const store = new StateFolder(folder, () => world);
    const read = (): number => (JSON.parse(readFileSync(join(folder, 'world.json'), 'utf8')) as World).nextSeq;
    await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        await new Promise((resolve) => setTimeout(resolve, i % 7));
        world.nextSeq += 1;
        const mine = world.nextSeq;
        await store.save();
        expect(read()).toBeGreaterThanOrEqual(mine);
      }),
    );
    expect(loadWorld(folder)?.nextSeq).toBe(50);
  });

  it('is empty at first, and refuses what another version wrote', async () => {
    expect(loadWorld(folder)).toBeUndefined();
    await new StateFolder(folder, () => ({ format: 1 }) as unknown as World).save();
    expect(() => loadWorld(folder)).toThrow(/another version/);
  });

  it('writes an invocation that is over once, and finds it again', async () => {
    const invocation = (id: string, seq: number) => ({ id, seq, content: `script of ${id}` }) as InvocationState;
    const world = {
      format: 3,
      invocations: { 't-2': invocation('t-2', 2), 't-1': invocation('t-1', 1) },
    } as unknown as World;
    const store = new StateFolder(folder, () => world);
    store.isOver(invocation('t-2', 2));
    await store.save();
    await store.save();
    expect(readFileSync(join(folder, 'world.json'), 'utf8')).not.toContain('script of t-2');
    expect(readFileSync(join(folder, 'invocations.jsonl'), 'utf8').match(/script of t-2/g)).toHaveLength(1);
    // What a killed process left half written swallows nothing that comes later.
    appendFileSync(join(folder, 'invocations.jsonl'), '\n{"id":"t-3","se');
    const later = new StateFolder(folder, () => world);
    later.isOver(invocation('t-1', 1));
    await later.save();
    expect(Object.entries(loadWorld(folder)?.invocations ?? {})).toEqual([
      ['t-1', invocation('t-1', 1)],
      ['t-2', invocation('t-2', 2)],
    ]);
  });

  it('a call whose effect was lost in a crash says so', () => {
    const call = {
      time: 't',
      parameters: {},
      code: 'OK',
      status: 200,
      requestId: 'r',
      tookEffect: true,
      answered: false,
    };
    const log = new CallLog({ stateDir: folder, lastEffect: 0 });
    log.add({ ...call, action: 'StopInstance' });
    log.amend(log.add({ ...call, action: 'CreateSnapshot', createdId: 's-1' }), { answered: true });
    log.add({ ...call, action: 'ResetDisk' });
    appendFileSync(join(folder, 'calls.jsonl'), '\n{"seq":4,"ti');
    const read = () =>
      new CallLog({ stateDir: folder, lastEffect: 2 }).records.map((each) => [
        each.action,
        each.tookEffect,
        each.answered,
      ]);
    const expected = [
      ['StopInstance', true, false],
      ['CreateSnapshot', true, true],
      ['ResetDisk', false, false],
    ];
    expect(read()).toEqual(expected);
    expect(read()).toEqual(expected);
  });

  it('the call log survives, but for a line that was cut off', () => {
    const log = new CallLog({ stateDir: folder, lastEffect: 0 });
    const wire = new Map([
      ['CommandContent', 'secret script'],
      ['DiskId', 'd-1'],
      ['Signature', 'x'],
    ]);
    const call = {
      time: 't',
      action: 'RunCommand',
      parameters: loggable(wire),
      code: 'OK',
      status: 200,
      requestId: 'r',
    };
    log.add({ ...call, tookEffect: true, answered: true });
    const text = readFileSync(join(folder, 'calls.jsonl'), 'utf8');
    expect(text).not.toContain('secret');
    expect(new CallLog({ stateDir: folder, lastEffect: 1 }).records).toEqual(log.records);
    expect(log.records[0]?.parameters).toEqual({
      DiskId: 'd-1',
      CommandContent: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/), bytes: 13 },
    });
  });
});

describe('Cloud Assistant', () => {
  const keeping = (outputKept: 'head' | 'tail' | 'head-and-tail') => ({
    world: { switches: { ...defaultSwitches(), outputKept } } as World,
  });
  const long = Buffer.concat([Buffer.alloc(30_000, 'a'), Buffer.alloc(30_000, 'z')]);

  it('keeps 24 KB of an output', () => {
    expect(cutOutput(keeping('head'), Buffer.from('short'))).toEqual({ kept: Buffer.from('short'), dropped: 0 });
    for (const kept of ['head', 'tail', 'head-and-tail'] as const) {
      const cut = cutOutput(keeping(kept), long);
      expect(cut.kept.length).toBe(24_576);
      expect(cut.dropped).toBe(60_000 - 24_576);
    }
    expect(cutOutput(keeping('head'), long).kept.toString()).toMatch(/^a+$/);
    expect(cutOutput(keeping('tail'), long).kept.toString()).toMatch(/^z+$/);
    expect(cutOutput(keeping('head-and-tail'), long).kept.toString()).toMatch(/^a+z+$/);
  });

  it('substitutes parameters without regard to case, and only known ones', () => {
    expect(substitute('echo {{Name}} {{ name }} {x}', { NAME: '$1 & {{a}}' })).toBe('echo $1 & {{a}} $1 & {{a}} {x}');
    expect(() => substitute('{{other}}', { name: 'x' })).toThrow(/"other" has no value/);
  });
});
