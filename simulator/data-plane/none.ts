/** A data plane without bytes and machines: disks and power states are bookkeeping only, and no script is ever executed. */
import { AgentUnavailable, type DataPlane, type DataPlaneOptions } from './port.ts';

const nothing = async (): Promise<void> => {};

export async function createNoneDataPlane(_options: DataPlaneOptions): Promise<DataPlane> {
  const running = new Set<string>();
  const notExecuted = async (): Promise<never> => {
    throw new AgentUnavailable('data plane "none" executes nothing');
  };
  return {
    kind: 'none',
    createDisk: nothing,
    createDiskFromImage: nothing,
    createSystemDisk: nothing,
    deleteDisk: nothing,
    resizeDisk: nothing,
    snapshotDisks: nothing,
    deleteSnapshot: nothing,
    resetDisk: nothing,
    startInstance: async (instanceId) => {
      running.add(instanceId);
    },
    stopInstance: async (instanceId) => {
      running.delete(instanceId);
    },
    isRunning: (instanceId) => running.has(instanceId),
    attachDisk: nothing,
    detachDisk: nothing,
    agentAnswers: async (instanceId) => running.has(instanceId),
    exec: notExecuted,
    sendFile: notExecuted,
    close: nothing,
  };
}
