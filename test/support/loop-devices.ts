/** Whether the loop data plane can run here, by what it needs; the machines of the other are emulated, and much slower. */
import { existsSync } from 'node:fs';

/** Undefined when it can; else what is missing. */
export function whyNoLoopDevices(): string | undefined {
  if (process.platform !== 'linux') return `needs Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/dev/loop-control')) return 'needs /dev/loop-control';
  return undefined;
}
