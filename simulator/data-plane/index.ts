/** Chooses the data plane by name; each is loaded only when asked for. */
import type { DataPlane, DataPlaneOptions } from './port.ts';

export const dataPlaneKinds = ['vm', 'loop', 'none'] as const;
export type DataPlaneKind = (typeof dataPlaneKinds)[number];

export async function createDataPlane(kind: DataPlaneKind, options: DataPlaneOptions): Promise<DataPlane> {
  switch (kind) {
    case 'vm':
      return await (await import('./vm/vm.ts')).createVmDataPlane(options);
    case 'loop':
      return await (await import('./loop/loop.ts')).createLoopDataPlane(options);
    case 'none':
      return await (await import('./none.ts')).createNoneDataPlane(options);
  }
}
