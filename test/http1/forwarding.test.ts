import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { forwardingFields, type ForwardingRules, type Hop } from '../../src/http1/forwarding.ts';
import { RequestHead } from '../../src/http1/request.ts';
import { LIMITS } from './heads.ts';

const PLAIN: ForwardingRules = { via: 'equipoise', forwarded: false, xForwarded: true };
const WITH_FORWARDED: ForwardingRules = { via: 'equipoise', forwarded: true, xForwarded: true };
const SILENT: ForwardingRules = { via: '', forwarded: false, xForwarded: true };
const V4: Hop = { address: '192.0.2.7', proto: 'http', trusted: false };
const V6: Hop = { address: '2001:db8::7', proto: 'https', trusted: false };
const UNIX: Hop = { address: '', proto: 'http', trusted: false };

/** What a downstream claims about the hops before it. */
const CLAIMS = 'X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n' +
  'Forwarded: for=6.6.6.6\r\nVia: 1.0 evil\r\n';
const NOTHING = 'Host: a.example\r\n';

describe('what an upstream learns about the hops before it', () => {
  type Row = readonly [what: string, hop: Hop, rules: ForwardingRules, fields: string, told: readonly string[]];
  const table: readonly Row[] = [
    ['over IPv4', V4, PLAIN, NOTHING,
      ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: http', 'X-Forwarded-Host: a.example', 'Via: 1.1 equipoise']],
    ['over IPv6 and TLS', V6, PLAIN, NOTHING,
      ['X-Forwarded-For: 2001:db8::7', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: a.example',
        'Via: 1.1 equipoise']],
    ['over a Unix socket', UNIX, PLAIN, NOTHING,
      ['X-Forwarded-Proto: http', 'X-Forwarded-Host: a.example', 'Via: 1.1 equipoise']],
    ['with an empty Host', V4, PLAIN, 'Host:\r\n',
      ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: http', 'Via: 1.1 equipoise']],
    ['with a port', V4, SILENT, 'Host: a.example:81\r\n',
      ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: http', 'X-Forwarded-Host: a.example:81']],
    ['with Forwarded', V4, WITH_FORWARDED, NOTHING,
      ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: http', 'X-Forwarded-Host: a.example',
        'Forwarded: for=192.0.2.7;host="a.example";proto=http', 'Via: 1.1 equipoise']],
    // RFC 7239 §6: an IPv6 address in brackets, which need quotes.
    ['with Forwarded, over IPv6', V6, { via: '', forwarded: true, xForwarded: true }, 'Host: [::1]:81\r\n',
      ['X-Forwarded-For: 2001:db8::7', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: [::1]:81',
        'Forwarded: for="[2001:db8::7]";host="[::1]:81";proto=https']],
    ['with Forwarded, over a Unix socket, without a host', UNIX, { ...SILENT, forwarded: true }, 'Host:\r\n',
      ['X-Forwarded-Proto: http', 'Forwarded: for=unknown;proto=http']],
    ['without Via', V4, SILENT, NOTHING,
      ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: http', 'X-Forwarded-Host: a.example']],

    ['claims of one who is not trusted', V4, PLAIN, NOTHING + CLAIMS,
      ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: http', 'X-Forwarded-Host: a.example', 'Via: 1.1 equipoise']],
    ['claims of one who is not trusted, with Forwarded', V4, WITH_FORWARDED, NOTHING + CLAIMS,
      ['X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: http', 'X-Forwarded-Host: a.example',
        'Forwarded: for=192.0.2.7;host="a.example";proto=http', 'Via: 1.1 equipoise']],
    ['claims of one who is not trusted, over a Unix socket', UNIX, SILENT, `Host:\r\n${CLAIMS}`,
      ['X-Forwarded-Proto: http']],

    ['claims of one who is trusted', { ...V4, trusted: true }, PLAIN, NOTHING + CLAIMS,
      ['X-Forwarded-For: 6.6.6.6, 192.0.2.7', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: evil.example',
        'Forwarded: for=6.6.6.6', 'Via: 1.0 evil, 1.1 equipoise']],
    ['claims of one who is trusted, with Forwarded', { ...V4, trusted: true }, WITH_FORWARDED, NOTHING + CLAIMS,
      ['X-Forwarded-For: 6.6.6.6, 192.0.2.7', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: evil.example',
        'Forwarded: for=6.6.6.6, for=192.0.2.7;host="a.example";proto=http', 'Via: 1.0 evil, 1.1 equipoise']],
    ['claims of one who is trusted, without Via', { ...V4, trusted: true }, SILENT, NOTHING + CLAIMS,
      ['X-Forwarded-For: 6.6.6.6, 192.0.2.7', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: evil.example',
        'Forwarded: for=6.6.6.6', 'Via: 1.0 evil']],
    ['claims of one who is trusted, over a Unix socket', { ...UNIX, trusted: true }, PLAIN, NOTHING + CLAIMS,
      ['X-Forwarded-For: 6.6.6.6', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: evil.example',
        'Forwarded: for=6.6.6.6', 'Via: 1.0 evil, 1.1 equipoise']],
    ['lines of one who is trusted are one list',
      { ...V4, trusted: true }, PLAIN, 'Host: a.example\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n',
      ['X-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7', 'X-Forwarded-Proto: http', 'X-Forwarded-Host: a.example',
        'Via: 1.1 equipoise']],
    ['one who is trusted and claims nothing', { ...V6, trusted: true }, WITH_FORWARDED, NOTHING,
      ['X-Forwarded-For: 2001:db8::7', 'X-Forwarded-Proto: https', 'X-Forwarded-Host: a.example',
        'Forwarded: for="[2001:db8::7]";host="a.example";proto=https', 'Via: 1.1 equipoise']],
    ['one who is trusted, claims nothing and has no address', { ...UNIX, trusted: true }, SILENT, 'Host:\r\n',
      ['X-Forwarded-Proto: http']],
  ];
  for (const [what, hop, rules, fields, told] of table) {
    test(what, () => {
      const head = parsed(`GET / HTTP/1.1\r\n${fields}\r\n`);
      assert.deepEqual(forwardingFields(head, hop, rules).split('\r\n'), [...told, '']);
    });
  }
  for (const trusted of [false, true]) {
    test(`the version in Via is that of the request${trusted ? ', trusted' : ''}`, () => {
      const head = parsed('GET / HTTP/1.0\r\n\r\n');
      assert.deepEqual(forwardingFields(head, { ...UNIX, trusted }, { ...PLAIN, via: 'edge-1' }).split('\r\n'),
        ['X-Forwarded-Proto: http', 'Via: 1.0 edge-1', '']);
    });
    test(`the host is that of an absolute target${trusted ? ', trusted' : ''}`, () => {
      const head = parsed('GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n');
      assert.match(forwardingFields(head, { ...UNIX, trusted }, SILENT), /^X-Forwarded-Host: b\.example\r\n/m);
    });
  }
});

function parsed(text: string): RequestHead {
  const head = new RequestHead();
  assert.equal(head.parse(Buffer.from(text, 'latin1'), text.length, LIMITS), text.length);
  return head;
}
