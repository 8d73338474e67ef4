import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, test } from 'node:test';
import { crc32c } from '../../src/proxy-protocol/crc32c.ts';
import type { ParsedProxy, ProxyHeader } from '../../src/proxy-protocol/header.ts';
import { ipBytes, ipText } from '../../src/proxy-protocol/ip.ts';
import { formatProxyHeader, parseProxyHeader } from '../../src/proxy-protocol/parse.ts';
import { v2 } from '../support/proxy-headers.ts';

const FULL = Array.from({ length: 8 }, () => 'ffff').join(':');
const PLAIN = {
  local: false, source: undefined, destination: undefined, authority: undefined, tls: undefined,
} as const;

describe('version 1', () => {
  for (const [line, source, destination] of [
    ['PROXY TCP4 192.0.2.1 198.51.100.7 56324 443', '192.0.2.1:56324', '198.51.100.7:443'],
    ['PROXY TCP4 255.255.255.255 0.0.0.0 65535 0', '255.255.255.255:65535', '0.0.0.0:0'],
    ['PROXY TCP6 2001:db8::1 ::1 56324 443', '2001:db8::1:56324', '::1:443'],
    ['PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::ffff:10.0.0.1 1 2', '2001:db8::1:1', '::ffff:10.0.0.1:2'],
    [`PROXY TCP6 ${FULL} ${FULL} 65535 65535`, `${FULL}:65535`, `${FULL}:65535`],
    ['PROXY UNKNOWN', '', ''],
    ['PROXY UNKNOWN ffff::1 whatever else', '', ''],
    [`PROXY UNKNOWN ${'x'.repeat(91)}`, '', ''],
  ] as const) {
    test(`reads ${line.slice(0, 70)}`, () => {
      const bytes = Buffer.from(`${line}\r\nGET / HTTP/1.1\r\n`);
      const { header, length } = parsed(bytes);
      assert.equal(length, line.length + 2);
      assert.equal(header.version, 1);
      assert.equal(header.local, false);
      assert.deepEqual([ends(header.source), ends(header.destination)], [source, destination]);
    });
  }

  for (const line of [
    'PROXY', 'PROXY ', 'PROXY TCP4', 'PROXY tcp4 1.2.3.4 1.2.3.4 1 2', 'PROXY  TCP4 1.2.3.4 1.2.3.4 1 2',
    'PROXY TCP4  1.2.3.4 1.2.3.4 1 2', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 2 ', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3',
    'PROXY TCP4 1.2.3.4 1.2.3.4 1', 'PROXY TCP4\t1.2.3.4 1.2.3.4 1 2', 'PROXY TCP4 1.2.3.4 1.2.3.4 01 2',
    'PROXY TCP4 1.2.3.4 1.2.3.4 1 65536', 'PROXY TCP4 1.2.3.4 1.2.3.4 +1 2', 'PROXY TCP4 1.2.3.4 1.2.3.4 -1 2',
    'PROXY TCP4 1.2.3.04 1.2.3.4 1 2', 'PROXY TCP4 1.2.3.256 1.2.3.4 1 2', 'PROXY TCP4 1.2.3 1.2.3.4 1 2',
    'PROXY TCP4 0x1.2.3.4 1.2.3.4 1 2', 'PROXY TCP4 ::1 ::1 1 2', 'PROXY TCP6 1.2.3.4 1.2.3.4 1 2',
    'PROXY TCP6 ::1 1.2.3.4 1 2', 'PROXY TCP6 :::1 ::1 1 2', 'PROXY TCP6 ::1::2 ::1 1 2',
    'PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2', 'PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2', 'PROXY TCP6 12345::1 ::1 1 2',
    'PROXY TCP6 fe80::1%eth0 ::1 1 2', 'PROXY TCP6 1:2:3:4::5:6:7:8 ::1 1 2', 'PROXY TCP6 ::1.2.3.4.5 ::1 1 2',
    'PROXY TCP6 1.2.3.4::1 ::1 1 2', 'PROXY TCP6 :1:2:3:4:5:6:7 ::1 1 2', 'PROXY UDP4 1.2.3.4 1.2.3.4 1 2',
    'PROXY UNKNOWNX', 'PROXY UNKNOWN a\rb', `PROXY UNKNOWN ${'x'.repeat(92)}`,
  ]) {
    test(`refuses ${JSON.stringify(line.slice(0, 70))}`, () => {
      assert.equal(parseProxyHeader(Buffer.from(`${line}\r\n`)).kind, 'invalid');
    });
  }

  test('refuses other line ends, and a line without an end at the first octet too many', () => {
    const line = 'PROXY TCP4 1.2.3.4 1.2.3.4 1 2';
    for (const end of ['\n', '\r\r\n', '\rx\n', '\n\r\n']) {
      assert.equal(parseProxyHeader(Buffer.from(line + end)).kind, 'invalid', JSON.stringify(end));
    }
    const long = Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`);
    assert.equal(parseProxyHeader(long.subarray(0, 106)).kind, 'partial');
    assert.equal(parseProxyHeader(long.subarray(0, 107)).kind, 'invalid');
  });

  test('is written as the protocol has it, with the family of both ends', () => {
    const ip = (address: string, port: number): ProxyHeader['source'] => (
      { family: address.includes(':') ? 'IPv6' : 'IPv4', address, port });
    const line = (source: ProxyHeader['source'], destination: ProxyHeader['source'], local = false): string => (
      formatProxyHeader({ ...PLAIN, version: 1, local, source, destination }).toString());
    assert.equal(line(ip('10.0.0.1', 1), ip('10.0.0.2', 2)), 'PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n');
    assert.equal(line(ip('2001:db8::1', 1), ip('::1', 2)), 'PROXY TCP6 2001:db8::1 ::1 1 2\r\n');
    assert.equal(line(ip('2001:db8::1', 1), ip('10.0.0.2', 2)), 'PROXY TCP6 2001:db8::1 ::ffff:10.0.0.2 1 2\r\n');
    assert.equal(line(ip('10.0.0.2', 1), ip('::1', 2)), 'PROXY TCP6 ::ffff:10.0.0.2 ::1 1 2\r\n');
    assert.equal(line({ family: 'Unix', path: '/x' }, ip('::1', 2)), 'PROXY UNKNOWN\r\n');
    assert.equal(line(undefined, ip('::1', 2)), 'PROXY UNKNOWN\r\n');
    assert.equal(line(ip('10.0.0.1', 1), ip('10.0.0.2', 2), true), 'PROXY UNKNOWN\r\n');
  });
});

describe('version 2', () => {
  test('reads IPv4 and IPv6 addresses', () => {
    const four = v2({ family: 0x11, addresses: [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb] });
    const { header, length } = parsed(Buffer.concat([four, Buffer.from('GET')]));
    assert.equal(length, four.length);
    assert.deepEqual([ends(header.source), ends(header.destination)], ['192.0.2.1:56324', '198.51.100.7:443']);
    const six = v2({ family: 0x21, addresses: [...new Array<number>(31).fill(0), 1, 0, 80, 1, 187] });
    assert.deepEqual(ends(parsed(six).header.source), ':::80');
    assert.deepEqual(ends(parsed(six).header.destination), '::1:443');
  });

  test('reads the paths of Unix sockets', () => {
    const path = (text: string): number[] => [...Buffer.from(text.padEnd(108, '\0'))];
    const { header } = parsed(v2({ family: 0x31, addresses: [...path('/run/client'), ...path('/run/server')] }));
    assert.deepEqual(header.source, { family: 'Unix', path: '/run/client' });
    assert.deepEqual(header.destination, { family: 'Unix', path: '/run/server' });
  });

  test('ignores what LOCAL and UNSPEC say', () => {
    for (const kind of [{ command: 0x20, family: 0x11 }, { command: 0x20, family: 0x99 }, { family: 0 }]) {
      const { header, length } = parsed(v2({ ...kind, addresses: [1, 2, 3, 4, 5] }));
      assert.equal(length, 21);
      assert.deepEqual([header.local, header.source], [kind.command === 0x20, undefined]);
    }
  });

  test('refuses what is unknown, for datagrams, too long or too short', () => {
    for (const [what, bytes] of [
      ['version', v2({ command: 0x11 })], ['version', v2({ command: 0x31 })], ['command', v2({ command: 0x22 })],
      ['command', v2({ command: 0x2f })], ['UDP', v2({ family: 0x12 })], ['UDP', v2({ family: 0x22 })],
      ['datagrams', v2({ family: 0x32, addresses: new Array<number>(216).fill(0) })],
      ['family', v2({ family: 0x10 })], ['family', v2({ family: 0x13 })], ['family', v2({ family: 0x41 })],
      ['family', v2({ family: 0x01 })], ['short', v2({ addresses: new Array<number>(11).fill(0) })],
      ['short', v2({ family: 0x21, addresses: new Array<number>(35).fill(0) })],
      ['longer', v2({ tlvs: [[0x04, Buffer.alloc(4096)]] })],
    ] as const) {
      const result = parseProxyHeader(bytes);
      assert.equal(result.kind, 'invalid', what);
      assert.match(result.why, new RegExp(what), what);
    }
    const header = v2({ tlvs: [[0x04, Buffer.alloc(5000)]] });
    assert.equal(parseProxyHeader(header.subarray(0, 16)).kind, 'invalid', 'as soon as the length is known');
    const most = v2({ tlvs: [[0x04, Buffer.alloc(4096 - 16 - 12 - 3)]] });
    assert.equal(parsed(most).length, 4096);
  });

  test('reads AUTHORITY and SSL, and skips other TLVs', () => {
    const ssl = Buffer.concat([
      Buffer.from([0x03, 0, 0, 0, 0]), tlv(0x21, 'TLSv1.3'), tlv(0x23, 'TLS_AES_128_GCM_SHA256'), tlv(0x22, 'alice'),
      tlv(0x24, 'RSA-SHA256'),
    ]);
    const { header } = parsed(v2({ tlvs: [
      [0x01, Buffer.from('h2')], [0x02, Buffer.from('www.example.com')], [0x05, Buffer.from('id')], [0x20, ssl],
      [0xee, Buffer.alloc(0)], [0xee, Buffer.from('twice')],
    ] }));
    assert.equal(header.authority, 'www.example.com');
    assert.deepEqual(header.tls, {
      version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', commonName: 'alice', certificate: true, verified: true,
    });
    const without = parsed(v2({ tlvs: [[0x20, Buffer.from([0, 0, 0, 0, 1])]] })).header;
    assert.equal(without.tls, undefined, 'the client did not use TLS');
    const unverified = parsed(v2({ tlvs: [[0x20, Buffer.from([0x07, 0, 0, 0, 1])]] })).header;
    assert.deepEqual([unverified.tls?.certificate, unverified.tls?.verified], [true, false]);
  });

  test('refuses malformed TLVs', () => {
    for (const [what, tlvs] of [
      ['one without a length', Buffer.from([0x04])], ['half a length', Buffer.from([0x04, 0])],
      ['one beyond the end', Buffer.from([0x04, 0, 1])], ['SSL too short', Buffer.concat([tlv(0x20, '1234')])],
      ['a TLV in SSL beyond its end', tlv(0x20, Buffer.from([1, 0, 0, 0, 0, 0x21, 0, 2, 65]))],
      ['a checksum of three octets', tlv(0x03, Buffer.alloc(3))],
      ['two of AUTHORITY', Buffer.concat([tlv(0x02, 'a'), tlv(0x02, 'b')])],
    ] as const) {
      assert.equal(parseProxyHeader(v2({ rest: tlvs })).kind, 'invalid', what);
    }
  });

  test('checks a checksum', () => {
    const bytes = v2({ tlvs: [[0x02, Buffer.from('a')], [0x03, Buffer.alloc(4)], [0x04, Buffer.from('padding')]] });
    const place = bytes.indexOf(Buffer.from([0x03, 0, 4])) + 3;
    bytes.writeUInt32BE(crc32c(bytes), place);
    assert.equal(parsed(bytes).header.authority, 'a');
    for (let at = 16; at < bytes.length; at++) {
      // Of another type, it is not a checksum any more.
      if (at === place - 3) continue;
      const wrong = Buffer.from(bytes);
      wrong.writeUInt8(wrong.readUInt8(at) ^ 0x40, at);
      assert.equal(parseProxyHeader(wrong).kind, 'invalid', `an octet changed at ${at}`);
    }
  });

  test('what is written reads the same', () => {
    for (const header of [
      { ...PLAIN, version: 2, source: ip4('10.0.0.1', 1), destination: ip4('10.0.0.2', 65535) },
      { ...PLAIN, version: 2, source: ip6('2001:db8::1', 1), destination: ip6('::', 2), authority: 'a.example',
        tls: { version: 'TLSv1.2', cipher: 'X', commonName: 'bob', certificate: true, verified: true } },
      { ...PLAIN, version: 2, local: true },
      { ...PLAIN, version: 2 },
    ] as const) {
      const bytes = formatProxyHeader(header);
      assert.deepEqual(parsed(bytes), { kind: 'header', header, length: bytes.length });
    }
    const mixed = formatProxyHeader({
      ...PLAIN, version: 2, source: ip6('2001:db8::1', 1), destination: ip4('10.0.0.2', 2),
    });
    assert.equal(ends(parsed(mixed).header.destination), '::ffff:10.0.0.2:2');
    const long = formatProxyHeader({
      ...PLAIN, version: 2, source: ip4('1.1.1.1', 1), destination: ip4('1.1.1.1', 1), authority: 'a'.repeat(999),
    });
    assert.equal(parsed(long).header.authority?.length, 255);
  });
});

test('the checksum is that of RFC 3720 B.4', () => {
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i))), 0x46dd794e);
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
});

test('addresses are read as Node reads them, and written as Node writes them', () => {
  for (const text of [
    '::', '::1', '1::', '1::8', '1:2:3:4:5:6:7:8', '1:0:0:4:0:0:0:8', '1:0:0:4:5:0:0:8', '2001:db8::ff00:42:8329',
    '::ffff:1.2.3.4', '64:ff9b::1.2.3.4', '1:2:3:4:5:6:1.2.3.4', '0:0:0:0:0:0:0:0', '1:2:3:4:5:6:7::',
    '::2:3:4:5:6:7:8', '1:0:3:0:5:0:7:0', 'ABCD:EF01::', '127.0.0.1', '0.0.0.0',
    ':', ':::', '1:', ':1', '1::2::3', '1:2:3:4:5:6:7:8:', '1.2.3', '1.2.3.4.', '.1.2.3.4', '::1.2.3', '::1.2.3.4:5',
    '',
  ]) {
    const bytes = ipBytes(text);
    assert.equal(bytes !== undefined, net.isIP(text) !== 0, text);
    if (bytes === undefined) continue;
    const family = bytes.length === 4 ? 'ipv4' : 'ipv6';
    const canonical = new net.SocketAddress({ address: text, family }).address;
    // RFC 5952 §5 wants IPv4 notation for well-known prefixes only.
    if (!/^::\d+\.|^64:ff9b/.test(canonical)) assert.equal(ipText(bytes), canonical);
    assert.deepEqual(ipBytes(ipText(bytes)), bytes);
  }
});

function parsed(bytes: Buffer): ParsedProxy & { readonly kind: 'header' } {
  const result = parseProxyHeader(bytes);
  assert.equal(result.kind, 'header', JSON.stringify(result));
  return result;
}

function ends(end: ProxyHeader['source']): string {
  if (end === undefined) return '';
  return end.family === 'Unix' ? end.path : `${end.address}:${end.port}`;
}

function tlv(type: number, value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([Buffer.from([type, bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function ip4(address: string, port: number): ProxyHeader['source'] {
  return { family: 'IPv4', address, port };
}

function ip6(address: string, port: number): ProxyHeader['source'] {
  return { family: 'IPv6', address, port };
}
