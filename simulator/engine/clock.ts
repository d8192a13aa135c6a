/** Simulated time: runs `speed` times as fast as the wall clock, may change its speed, and continues after a restart. */
export class Clock {
  private baseSim: number;
  private baseWall: number;
  private rate: number;
  private readonly alarms = new Set<{ due: number; ring: () => void; timer: NodeJS.Timeout | undefined }>();

  constructor(simTime: number, speed: number) {
    this.baseSim = simTime;
    this.baseWall = performance.now();
    this.rate = speed;
  }

  get speed(): number {
    return this.rate;
  }

  /** Milliseconds of simulated time. */
  now(): number {
    return this.baseSim + (performance.now() - this.baseWall) * this.rate;
  }

  setSpeed(speed: number): void {
    this.baseSim = this.now();
    this.baseWall = performance.now();
    this.rate = speed;
    for (const alarm of this.alarms) this.arm(alarm);
  }

  /** Resolves when simulated time reaches `due`; rejects with the signal's reason when it is aborted first. */
  async until(due: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const alarm = { due, ring: () => resolve(), timer: undefined as NodeJS.Timeout | undefined };
      const stop = (): void => {
        clearTimeout(alarm.timer);
        this.alarms.delete(alarm);
        reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
      };
      alarm.ring = () => {
        signal?.removeEventListener('abort', stop);
        this.alarms.delete(alarm);
        resolve();
      };
      signal?.addEventListener('abort', stop, { once: true });
      this.alarms.add(alarm);
      this.arm(alarm);
    });
  }

  private arm(alarm: { due: number; ring: () => void; timer: NodeJS.Timeout | undefined }): void {
    clearTimeout(alarm.timer);
    // Node's timers hold 31 bits; a longer wait is re-armed.
    const wait = Math.min(2 ** 30, Math.max(0, (alarm.due - this.now()) / this.rate));
    alarm.timer = setTimeout(() => {
      if (this.now() + 0.5 >= alarm.due) alarm.ring();
      else this.arm(alarm);
    }, Math.ceil(wait));
  }
}
