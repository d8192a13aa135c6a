/** The client of QEMU's monitor and of the guest agent, against a server that answers as they do. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CommandRefused, JsonSocket, NoAnswer } from '../../../simulator/data-plane/vm/json-socket.ts';

let folder: string;
let server: Server;
let client: JsonSocket;
let peer: Socket;
const asked: Array<{ execute: string; id: number; arguments: object }> = [];

beforeEach(async () => {
  asked.length = 0;
  folder = await mkdtemp(join(tmpdir(), 'json-'));
  const connected = new Promise<Socket>((resolve) => {
    server = createServer((socket) => {
      socket.on('data', (data) => {
        for (const line of data.toString().trim().split('\n')) asked.push(JSON.parse(line) as (typeof asked)[number]);
        socket.emit('asked');
      });
      resolve(socket);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(join(folder, 's'), resolve);
  });
  client = await JsonSocket.connect(join(folder, 's'));
  peer = await connected;
});

afterEach(async () => {
  client.close();
  peer.destroy();
  server.close();
  await rm(folder, { recursive: true });
});

async function untilAsked(count: number): Promise<void> {
  while (asked.length < count) {
    await new Promise((resolve) => {
      peer.once('asked', resolve);
    });
  }
}

it('gives each answer to its question, whatever their order, pieces and noise between', async () => {
  const events: unknown[] = [];
  client.events.on('DEVICE_DELETED', (data) => events.push(data));
  const first = client.command('one', { a: 1 });
  const second = client.command('two');
  await untilAsked(2);
  expect(asked.map(({ execute, arguments: args }) => [execute, args])).toEqual([
    ['one', { a: 1 }],
    ['two', {}],
  ]);
  peer.write('half a line of a guest that rebooted\n{"event": "DEVICE_DELETED", "data": {"device": "v-1"}}\n{"ret');
  peer.write(`urn": 2, "id": ${asked[1]?.id}}\n{"return": {"é": 1}, "id": ${asked[0]?.id}}\n`);
  expect(await second).toBe(2);
  expect(await first).toEqual({ é: 1 });
  expect(events).toEqual([{ device: 'v-1' }]);
});

it('tells a refusal from silence, and never takes a late answer for the next one', async () => {
  const refused = client.command('bad');
  await untilAsked(1);
  peer.write(`{"error": {"class": "GenericError", "desc": "no such device"}, "id": ${asked[0]?.id}}\n`);
  await expect(refused).rejects.toThrow(new CommandRefused('no such device'));
  await expect(client.command('slow', {}, 30)).rejects.toThrow('no answer to slow within 0.03 s');
  const next = client.command('next');
  await untilAsked(3);
  peer.write(`{"return": "late", "id": ${asked[1]?.id}}\n{"return": "right", "id": ${asked[2]?.id}}\n`);
  expect(await next).toBe('right');
});

it('ends what is asked when the machine goes away', async () => {
  const open = client.command('open');
  await untilAsked(1);
  peer.destroy();
  await expect(open).rejects.toBeInstanceOf(NoAnswer);
  await expect(client.command('after')).rejects.toBeInstanceOf(NoAnswer);
});
