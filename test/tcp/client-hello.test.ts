import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, test } from 'node:test';
import tls from 'node:tls';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { serverNameIn } from '../../src/tcp/client-hello.ts';

describe('the server name in a ClientHello', () => {
  for (const [what, options, name] of [
    ['TLS 1.3', { servername: 'a.example' }, 'a.example'],
    ['TLS 1.2', { servername: 'A.Example', maxVersion: 'TLSv1.2' }, 'a.example'],
    ['no name', {}, ''],
    ['ALPN and a long name', { servername: `${'x'.repeat(60)}.example.org`, ALPNProtocols: ['h2'] },
      `${'x'.repeat(60)}.example.org`],
  ] as const) {
    test(`${what}: read whole, and at no byte before`, async () => {
      const hello = await recorded(options);
      assert.equal(serverNameIn(hello), name);
      for (let end = 0; end < hello.length; end++) {
        const needed = serverNameIn(hello.subarray(0, end));
        assert.ok(typeof needed === 'number' && needed > end && needed <= hello.length, `at ${end}: ${needed}`);
      }
      // What follows does not matter.
      assert.equal(serverNameIn(Buffer.concat([hello, Buffer.from('more')])), name);
    });

    test(`${what}: in records of any size`, async () => {
      const hello = await recorded(options);
      for (const size of [1, 2, 3, 4, 5, 7, 100, 16_000]) {
        const bytes = inRecords(hello.subarray(5), size);
        let reads = 0;
        let needed: string | number = serverNameIn(Buffer.alloc(0));
        for (; typeof needed === 'number'; reads++) {
          assert.ok(needed <= bytes.length, `asks for ${needed} of ${bytes.length} octets`);
          needed = serverNameIn(bytes.subarray(0, needed));
        }
        assert.equal(needed, name, `records of ${size}`);
        assert.ok(reads < 60, `${reads} reads for records of ${size}`);
      }
    });
  }

  test('is none in other protocols, from the first byte on where that tells', () => {
    for (const text of ['GET / HTTP/1.1\r\n', '*1\r\n$4\r\nPING\r\n', 'SSH-2.0-x\r\n', '\0\0\0\x08\x04\xd2\x16/']) {
      for (let end = 1; end <= text.length; end++) {
        assert.equal(serverNameIn(Buffer.from(text.slice(0, end), 'latin1')), '');
      }
    }
    // An alert, application data, a hello of SSL 2.0, an empty record, one that is too long, a ServerHello.
    for (const hex of ['150301', '170303', '802e01', '1603010000', '160301ffff', '16030100050200']) {
      const found = serverNameIn(Buffer.from(hex.padEnd(40, '0'), 'hex'));
      assert.equal(found, '', hex);
    }
  });

  test('gives up on a hello that is too long', () => {
    const bytes = Buffer.from('1603014000' + '01004001' + '00'.repeat(100), 'hex');
    assert.equal(serverNameIn(bytes), '');
  });

  test('is none where the name is not one', () => {
    for (const name of ['', 'a b', 'a\nb', 'a..b', '.a', 'ä', 'x'.repeat(300), '*.a', 'a/b']) {
      assert.equal(serverNameIn(helloFor(name)), '', JSON.stringify(name));
    }
    assert.equal(serverNameIn(helloFor('a.b.')), 'a.b');
    // The order of the extensions, and those that nobody knows (RFC 8701), do not matter.
    assert.equal(serverNameIn(helloFor('a.b', Buffer.from('0a0a0000fafa000100', 'hex'))), 'a.b');
  });

  test('never throws, and asks for more than there is, whatever the bytes', async () => {
    const seed = testSeed();
    const random = seededRandom(seed);
    const split = inRecords(helloFor('c.d').subarray(5), 9);
    const hellos = [await recorded({ servername: 'a.example' }), helloFor('b.example'), split];
    for (let i = 0; i < 20_000; i++) {
      const hello = Buffer.from(hellos[Math.floor(random() * hellos.length)] ?? '');
      for (let changes = Math.floor(random() * 4); changes >= 0; changes--) {
        hello[Math.floor(random() ** 2 * hello.length)] = Math.floor(random() * 256);
      }
      const bytes = hello.subarray(0, Math.floor(random() * (hello.length + 1)));
      const found = serverNameIn(bytes);
      const text = `seed ${seed}, case ${i}: ${bytes.toString('hex')}`;
      if (typeof found === 'number') assert.ok(found > bytes.length && found <= 16_384, text);
      else assert.match(found, /^[a-z0-9_.-]*$/, text);
    }
  });
});

/** The ClientHello of Node's own client. */
function recorded(options: tls.ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => {
      socket.once('data', (bytes) => {
        socket.destroy();
        server.close();
        resolve(bytes);
      });
    });
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options }).on('error', () => undefined);
    });
    server.on('error', reject);
  });
}

/** A handshake message in records of `size` octets. */
function inRecords(message: Buffer, size: number): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 255]), part);
  }
  return Buffer.concat(records);
}

/** A small ClientHello, with `before` in front of the extension of the name. */
function helloFor(name: string, before = Buffer.alloc(0)): Buffer {
  const text = Buffer.from(name, 'latin1');
  const entry = Buffer.concat([Buffer.from([0]), sized(text, 2)]);
  const extension = Buffer.concat([Buffer.from([0, 0]), sized(sized(entry, 2), 2)]);
  const body = Buffer.concat([
    Buffer.alloc(34, 3), sized(Buffer.alloc(0), 1), sized(Buffer.from([0x13, 1]), 2), sized(Buffer.from([0]), 1),
    sized(Buffer.concat([before, extension]), 2),
  ]);
  return inRecords(Buffer.concat([Buffer.from([1]), sized(body, 3)]), 16_000);
}

function sized(bytes: Buffer, width: number): Buffer {
  const length = Buffer.alloc(width);
  length.writeUIntBE(bytes.length, 0, width);
  return Buffer.concat([length, bytes]);
}
