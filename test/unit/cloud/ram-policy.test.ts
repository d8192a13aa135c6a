import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ACTIONS } from '../../../src/cloud/alicloud/actions.ts';
import { type Purpose, TAG } from '../../../src/contract/ids.ts';

interface Statement {
  Effect: string;
  Action: string | string[];
  Resource: string | string[];
  Condition?: Record<string, Record<string, string>>;
}
const policy = JSON.parse(readFileSync(new URL('../../../deploy/ram-policy.json', import.meta.url), 'utf8')) as {
  Version: string;
  Statement: Statement[];
};
const list = (value: string | string[]): string[] => (typeof value === 'string' ? [value] : value);

describe('deploy/ram-policy.json', () => {
  it('allows exactly what the client calls', () => {
    const allowed = policy.Statement.flatMap(({ Action }) => list(Action));
    expect(allowed.toSorted()).toEqual(
      Object.keys(ACTIONS)
        .map((action) => `ecs:${action}`)
        .toSorted(),
    );
  });

  it.each<[action: string, purpose: Purpose]>([
    ['DeleteDisk', 'recovery-disk'],
    ['DeleteSnapshot', 'warm-up-snapshot'],
    ['LockSnapshot', 'safety-snapshot'],
  ])('allows %s for what carries the purpose %s only', (action, purpose) => {
    const statements = policy.Statement.filter(({ Action }) => list(Action).includes(`ecs:${action}`));
    expect(statements).toMatchObject([
      { Action: `ecs:${action}`, Condition: { StringEquals: { [`acs:ResourceTag/${TAG.purpose}`]: purpose } } },
    ]);
  });

  it('gives effects to named kinds of resource only', () => {
    expect(policy.Version).toBe('1');
    for (const { Effect, Action, Resource } of policy.Statement) {
      expect(Effect).toBe('Allow');
      const effects = list(Action).filter((action) => !action.startsWith('ecs:Describe'));
      if (effects.length > 0) for (const arn of list(Resource)) expect(arn).toMatch(/^acs:ecs:\*:\*:[a-z]+\/\*$/);
    }
  });
});
