/** Chooses the data plane by name; each is loaded only when asked for. */
import type { DataPlane, DataPlaneOptions } from './port.ts';

export const dataPlaneKinds = ['vm', 'loop', 'none'] as const;
export type DataPlaneKind = (typeof dataPlaneKinds)[number];

export async function createDataPlane(kind: DataPlaneKind, options: DataPlaneOptions): Promise<DataPlane> {
  return await makers[kind](options);
}

const makers: Record<DataPlaneKind, (options: DataPlaneOptions) => Promise<DataPlane>> = {
  vm: async (options) => await (await import('./vm/vm.ts')).createVmDataPlane(options),
  loop: async (options) => await (await import('./loop/loop.ts')).createLoopDataPlane(options),
  none: async (options) => await (await import('./none.ts')).createNoneDataPlane(options),
};
