/**
 * The JSON protocol that QEMU's monitor (QMP) and the guest agent (qemu-ga) share: one command and one answer per line,
 * matched by `id`, so that an answer that comes too late is never taken for another's.
 */
import { EventEmitter } from 'node:events';
import { connect, type Socket } from 'node:net';

/** The other side said no: `class` is QEMU's error class. */
export class CommandRefused extends Error {}
/** No answer in time, or the socket is closed. */
export class NoAnswer extends Error {}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

export class JsonSocket {
  /** Emits each event by its name with its data. */
  readonly events = new EventEmitter();
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #text = '';

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => this.#read(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      for (const id of this.#pending.keys()) this.#settle(id)?.reject(new NoAnswer('the connection closed'));
    });
  }

  static async connect(path: string): Promise<JsonSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new JsonSocket(socket));
      });
    });
  }

  /** Sends a command and answers its `return`. Throws CommandRefused or NoAnswer. */
  async command(name: string, args: object = {}, timeoutMs = 30_000): Promise<unknown> {
    if (this.#socket.destroyed) throw new NoAnswer('the connection is closed');
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.#settle(id)?.reject(new NoAnswer(`no answer to ${name} within ${timeoutMs / 1000} s`)),
        timeoutMs,
      );
      this.#pending.set(id, { resolve, reject, timer });
      this.#socket.write(`${JSON.stringify({ execute: name, arguments: args, id })}\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending !== undefined) clearTimeout(pending.timer);
    this.#pending.delete(id);
    return pending;
  }

  #read(chunk: string): void {
    const lines = (this.#text + chunk).split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) {
      let message: {
        id?: number;
        return?: unknown;
        error?: { class: string; desc: string };
        event?: string;
        data?: object;
      };
      try {
        message = JSON.parse(line) as typeof message;
      } catch {
        // A guest that reboots in mid-sentence leaves half a line.
        continue;
      }
      if (message.event !== undefined) this.events.emit(message.event, message.data);
      if (message.id === undefined) continue;
      const pending = this.#settle(message.id);
      if (message.error !== undefined) pending?.reject(new CommandRefused(message.error.desc));
      else pending?.resolve(message.return);
    }
  }
}
