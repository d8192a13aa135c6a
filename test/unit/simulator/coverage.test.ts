/** COVERAGE.md says what the code does, and the action table knows every parameter of the official SDK. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ecs from '@alicloud/ecs20140526';
import { describe, expect, it } from 'vitest';
import { handlers } from '../../../simulator/actions/index.ts';
import { type ActionName, type ActionShape, actionTable } from '../../../simulator/api/action-table.ts';
import { renderCoverage } from '../../../simulator/api/coverage.ts';
import { parameterSpec } from '../../../simulator/protocol/parameters.ts';

const root = join(import.meta.dirname, '../../..');
const actions = Object.entries(actionTable) as [ActionName, ActionShape][];

interface SdkModel {
  names(): Record<string, string>;
}

function sdkParameters(action: string): string[] {
  const model = (ecs as unknown as Record<string, SdkModel | undefined>)[`${action}Request`];
  if (model === undefined) throw new Error(`the SDK has no ${action}Request`);
  // The owner's parameters belong to the gateway, not to the action.
  return Object.values(model.names())
    .filter((name) => !/^(Resource)?Owner(Id|Account)$/.test(name) && name !== 'SourceRegionId')
    .sort();
}

describe('coverage', () => {
  it('COVERAGE.md is what the action table renders', async () => {
    // `-u` rewrites it; without it a stale file fails.
    await expect(renderCoverage()).toMatchFileSnapshot(join(root, 'simulator/COVERAGE.md'));
  });

  it.each(actions.map(([action]) => action))('%s lists exactly the parameters of the SDK', (action) => {
    expect(Object.keys(actionTable[action].parameters).sort()).toEqual(sdkParameters(action));
  });

  it('every action has a handler, and every required parameter exists', () => {
    for (const [action, shape] of actions) {
      expect(typeof handlers[action]).toBe('function');
      for (const name of shape.required) expect(shape.parameters).toHaveProperty(name);
    }
  });

  it('every modelled parameter is read by some handler', () => {
    const folder = join(root, 'simulator/actions');
    const source = [
      ...readdirSync(folder).map((file) => join(folder, file)),
      join(root, 'simulator/engine/client-tokens.ts'),
    ]
      .map((file) => readFileSync(file, 'utf8'))
      .join('\n');
    const unread = actions.flatMap(([action, shape]) =>
      Object.entries(shape.parameters)
        .filter(([name, line]) => parameterSpec(line).fate === 'modelled' && !source.includes(`'${name}'`))
        // The region is checked for every call alike.
        .filter(([name]) => name !== 'RegionId')
        .map(([name]) => `${action}.${name}`),
    );
    expect(unread).toEqual([]);
  });
});
