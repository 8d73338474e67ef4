import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Origin, parseOrigin } from '../../src/options/origin.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';

/** The result of the URL standard, as Node implements it. */
function byUrl(text: string): Origin | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return undefined;
  }
  const { href, origin, protocol, hostname, port, host } = url;
  if (href !== `${origin}/` || (protocol !== 'http:' && protocol !== 'https:')) return undefined;
  return {
    origin, protocol, host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || (protocol === 'https:' ? 443 : 80)), authority: host,
  };
}

describe('an origin is parsed as the URL standard says', () => {
  const hosts = [
    'localhost', 'a', 'a.example', 'pod-0.svc.cluster.local', 'A.Example', 'a_b.example', '1a.example', 'a1.example',
    'a-', '-a', 'a.-b', 'a..b', '.a', 'a.', 'a.1', 'a.0x1', 'a.0x', 'a.x1', '0x7f.1', '127.1', '127.0.0.1',
    '127.0.0.1.', '255.255.255.255', '256.0.0.1', '1.2.3.4.5', '01.2.3.4', '1.2.3.08', '1.2.3.0', '00.0.0.0',
    '2130706433', 'xn--a', 'xn--bcher-kva.example', 'a.xn--a', 'axn--a', 'bücher.example', 'a%41.example', 'a%00',
    'a b', 'a\tb', '[::1]',
    '[::', '[1::0:2]', 'u@a', 'u:p@a', 'a/', 'a/b', 'a?', 'a#', 'a\\', '', 'a'.repeat(63), 'a'.repeat(64),
    `${'a.'.repeat(130)}b`,
  ];
  const ports = [
    '', ':', ':0', ':1', ':01', ':80', ':443', ':3000', ':65535', ':65536', ':99999', ':123456', ':8o', ':+1',
  ];
  for (const scheme of ['http://', 'https://', 'HTTP://', 'http:', 'http:/', 'ftp://', ' http://']) {
    test(JSON.stringify(scheme), () => {
      for (const host of hosts) {
        for (const port of ports) {
          for (const end of ['', '/', ' ', '\n', '/x']) {
            const text = scheme + host + port + end;
            assert.deepEqual(parseOrigin(text), byUrl(text), JSON.stringify(text));
          }
        }
      }
    });
  }

  test('however often it is parsed', () => {
    // Node 20's URL.canParse goes wrong once V8 has optimised its caller.
    for (let i = 0; i < 50_000; i++) {
      assert.equal(parseOrigin('http://b\u00fccher.example')?.origin, 'http://xn--bcher-kva.example');
    }
  });

  const seed = testSeed();
  test(`50,000 drawn at random (EQUIPOISE_SEED=${String(seed)})`, () => {
    const rng = seededRandom(seed);
    const pieces = 'a b x y z a b 0 1 2 3 7 8 9 0 1 2 . . . - : xn-- 0x 255 256 80 example _ A %'.split(' ');
    for (let i = 0; i < 50_000; i++) {
      const length = 1 + Math.floor(rng() * 12);
      const text = `http://${Array.from({ length }, () => pieces[Math.floor(rng() * pieces.length)]).join('')}`;
      assert.deepEqual(parseOrigin(text), byUrl(text), JSON.stringify(text));
    }
  });
});
