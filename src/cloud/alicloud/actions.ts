/**
 * Every ECS action this product calls, and whether it changes anything. `deploy/ram-policy.json` allows exactly these;
 * a test compares the two.
 */
export const ACTIONS = {
  DescribeInstances: 'read',
  DescribeInstanceTypes: 'read',
  DescribeAvailableResource: 'read',
  DescribeDisks: 'read',
  DescribeSnapshots: 'read',
  DescribeLockedSnapshots: 'read',
  DescribeInvocationResults: 'read',
  DescribeCloudAssistantStatus: 'read',
  CreateSnapshot: 'effect',
  LockSnapshot: 'effect',
  DeleteSnapshot: 'effect',
  CreateDisk: 'effect',
  ResetDisk: 'effect',
  ResizeDisk: 'effect',
  AttachDisk: 'effect',
  DetachDisk: 'effect',
  DeleteDisk: 'effect',
  StopInstance: 'effect',
  StartInstance: 'effect',
  RunCommand: 'effect',
} as const;

export type Action = keyof typeof ACTIONS;
