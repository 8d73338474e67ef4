/**
 * The name is read from whatever comes before the handshake, at little cost: the client is not known yet.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { peekServerName } from '../../src/cli/tls/server-name.ts';
import { turns } from '../support/wait.ts';

test('a ClientHello in records of one octet, sent octet by octet, is not parsed at each of them', async (t) => {
  const message = Buffer.alloc(4 + 700);
  message[0] = 1;
  message.writeUIntBE(700, 1, 3);
  const octets = Buffer.concat([...message].map((octet) => Buffer.of(22, 3, 1, 0, 1, octet)));
  const stream = new PassThrough();
  const names: string[] = [];
  // Called for each record that is walked over.
  const { mock: reads } = t.mock.method(Buffer.prototype as Buffer, 'readUInt16BE');
  peekServerName(stream as unknown as Socket, (name) => names.push(name));
  for (const octet of octets) {
    stream.write(Buffer.of(octet));
    await turns(1);
  }
  assert.deepEqual(names, ['']);
  // 1,500,000 if it were.
  assert.ok(reads.callCount() < 50_000, `${reads.callCount()} reads`);
  assert.deepEqual(stream.read(), octets);
});
