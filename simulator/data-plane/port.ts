/**
 * What the simulator's control plane needs of a data plane: bytes on disks, and machines that use them. Disks and
 * snapshots are named by their ECS ids. Every call is safe to repeat after a crash of the simulator: making what exists
 * and removing what is gone are no errors.
 */
export interface AttachedDisk {
  readonly diskId: string;
  /** What the guest sees as the device's serial: the disk's id without `d-`, at most 20 bytes (virtio cuts the rest). */
  readonly serial: string;
  /** `false`: the guest sees none, as of disks of before June 2020. */
  readonly showsSerial?: false;
  /** As instances of newer types have it; the data plane `vm` only. Default: `virtio`. */
  readonly bus?: 'virtio' | 'nvme';
}

/** What the guest sees as the serial; empty for none. */
export const shownSerial = ({ serial, showsSerial }: AttachedDisk): string => (showsSerial === false ? '' : serial);

export interface ExecRequest {
  /** The script's bytes; run as a file, so that its `#!` line counts. */
  readonly script: Buffer;
  readonly timeoutMs: number;
  readonly workingDir: string;
  readonly user: string;
}

export interface ExecResult {
  /**
   * Exit status; 128 + n where signal n ended it. 125 with the output `user NAME does not exist` or
   * `cannot cd to DIR: …` says that the script was not started.
   */
  readonly exitCode: number;
  /** stdout and stderr as they came, interleaved; cut to `outputLimit` by the caller, never here. */
  readonly output: Buffer;
  readonly timedOut: boolean;
}

export interface FileToSend {
  readonly path: string;
  readonly content: Buffer;
  /** Octal text such as `0644`. */
  readonly mode: string;
  readonly owner: string;
  readonly group: string;
  readonly overwrite: boolean;
}

export interface DataPlane {
  readonly kind: 'vm' | 'loop' | 'none';

  /** An empty disk, or one with the bytes of a snapshot (then at least as large as the snapshot). */
  createDisk(diskId: string, sizeBytes: number, fromSnapshotId?: string): Promise<void>;
  /** A disk that begins with the bytes of a raw image file of this host. */
  createDiskFromImage(diskId: string, sizeBytes: number, image: string): Promise<void>;
  /** The system disk of a new instance: a copy of the guest image. */
  createSystemDisk(diskId: string, sizeBytes: number): Promise<void>;
  deleteDisk(diskId: string): Promise<void>;
  /** Grows; while attached to a running instance the guest sees it at once. */
  resizeDisk(diskId: string, sizeBytes: number): Promise<void>;
  /** The bytes of one moment: a running guest's writes stand still while all disks named are copied. */
  snapshotDisks(pairs: ReadonlyArray<{ diskId: string; snapshotId: string }>): Promise<void>;
  deleteSnapshot(snapshotId: string): Promise<void>;
  /** Puts the bytes of the snapshot back. The disk keeps `sizeBytes`. Never called while its instance runs. */
  resetDisk(diskId: string, snapshotId: string, sizeBytes: number): Promise<void>;

  /** Boots; resolves when the machine runs (its agent may answer later). The first disk is the system disk. */
  startInstance(instanceId: string, disks: readonly AttachedDisk[]): Promise<void>;
  /** Resolves when the machine is off. Not forced: a real shutdown of the guest. */
  stopInstance(instanceId: string, options: { force: boolean }): Promise<void>;
  isRunning(instanceId: string): boolean;
  /** Hot plug and unplug; for a stopped instance there is nothing to do. */
  attachDisk(instanceId: string, disk: AttachedDisk): Promise<void>;
  detachDisk(instanceId: string, disk: AttachedDisk): Promise<void>;

  /** Whether the guest's agent answers now. */
  agentAnswers(instanceId: string): Promise<boolean>;
  /** Runs a script in the guest; aborting the signal kills it there (its process group only). */
  exec(instanceId: string, request: ExecRequest, signal: AbortSignal): Promise<ExecResult>;
  sendFile(instanceId: string, file: FileToSend): Promise<{ exitCode: number; message: string }>;

  /** Ends every machine and helper. */
  close(): Promise<void>;
}

/** Thrown by `exec` and `sendFile` when the script did not run at all. */
export class AgentUnavailable extends Error {}

export interface DataPlaneOptions {
  /** Folder for images, sockets and logs of this data plane; made when missing. */
  readonly stateDir: string;
  /** Progress lines for a human, such as "building the guest image (once)". */
  readonly log: (line: string) => void;
  /** Guests boot with SELinux in the kernel, and no policy until one is loaded; the data plane `vm` only. Default: none. */
  readonly selinux?: boolean;
}
