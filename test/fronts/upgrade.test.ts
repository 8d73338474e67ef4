import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS, SOCKET } from '../support/fronts.ts';
import { chunked } from '../support/message.ts';
import { bytes, close, echo, request, response, type Script, startUpstream } from '../support/upstream.ts';

const ASK = 'Connection: Upgrade\r\nUpgrade: raw\r\n';
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\nX-Token: 1\r\n\r\n';

for (const front of FRONTS) {
  describe(`an upgrade through ${front.name}`, () => {
    const refusals: [name: string, bytes: string, status: number][] = [
      ['401', response('who are you?', 'WWW-Authenticate: Basic\r\n', '401 Unauthorized'), 401],
      ['426', response('', 'Upgrade: other\r\nConnection: Upgrade\r\n', '426 Upgrade Required'), 426],
      ['200: the upstream does not know of it', response('plain'), 200],
      ['503', response('later', '', '503 Service Unavailable'), 503],
    ];
    for (const [name, refusal, status] of refusals) {
      test(`that is refused is answered as the upstream does: ${name}`, async (t) => {
        const upstream = await startUpstream(t, [[request, refusal, echo]]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        const answer = await client.exchange(get('/', ASK));
        assert.equal(answer.status, status);
        assert.equal(answer.text, refusal.slice(refusal.indexOf('\r\n\r\n') + 4));
        // RFC 9110 §15.5.22: a 426 says what to upgrade to.
        if (status === 426) assert.equal(answer.head.get('upgrade'), 'other');
        if (front === SOCKET) assert.equal((await client.exchange(get('/next'))).text, '/next');
        else assert.equal(await client.over(), 'end');
      });
    }

    const switched = 'HTTP/1.1 101 Switching Protocols\r\n';
    const broken: [name: string, bytes: string][] = [
      ['101 without Upgrade', `${switched}Connection: Upgrade\r\n\r\n`],
      ['101 without Connection', `${switched}Upgrade: raw\r\n\r\n`],
      ['101 with Connection: close', `${switched}Connection: close\r\nUpgrade: raw\r\n\r\n`],
      // RFC 9110 §7.8: never to a protocol that was not asked for.
      ['101 to another protocol', `${switched}Connection: Upgrade\r\nUpgrade: other\r\n\r\n`],
      ['101 to h2c', `${switched}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`],
      ['101 to one protocol more', `${switched}Connection: Upgrade\r\nUpgrade: raw, other\r\n\r\n`],
      ['101 to one protocol more, in a line of its own',
        `${switched}Connection: Upgrade\r\nUpgrade: raw\r\nUpgrade: other\r\n\r\n`],
      ['101 to nothing', `${switched}Connection: Upgrade\r\nUpgrade: ,\r\n\r\n`],
      ['101 to half a protocol', `${switched}Connection: Upgrade\r\nUpgrade: ra\r\n\r\n`],
    ];
    for (const [name, answer] of broken) {
      test(`is broken off by a ${name}`, async (t) => {
        const upstream = await startUpstream(t, [[request, answer], echo]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        assert.equal((await (await under.connect()).exchange(get('/', ASK))).status, 502);
        // It was requested: "unasked" would mislead the reader.
        const code = /without|close/.test(name) ? 'UPGRADE_INVALID' : 'UPGRADE_UNASKED';
        assert.deepEqual(under.reports, [`${code} at ${upstream.origin}`]);
        await upstream.gone(1);
        assert.equal((await (await under.connect()).exchange(get('/next'))).text, '/next');
      });
    }

    const settings = 'HTTP2-Settings: AAMAAABk\r\n';
    const unasked: [name: string, fields: string, version?: string][] = [
      ['without Connection', 'Upgrade: raw\r\n'],
      ['with Connection: close alone', 'Connection: close\r\nUpgrade: raw\r\n'],
      ['with other options alone', 'Connection: keep-alive, x-upgrade, upgrades\r\nUpgrade: raw\r\n'],
      ['without a protocol', 'Connection: Upgrade\r\n'],
      ['to an empty protocol', 'Connection: Upgrade\r\nUpgrade:\r\n'],
      ['to h2c, past all our rules', `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n${settings}`],
      ['to h2c in capitals', `Connection: Upgrade\r\nUpgrade: H2C\r\n${settings}`],
      ['to h2c behind another', `Connection: Upgrade\r\nUpgrade: raw, h2c\r\n${settings}`],
      ['to h2c before another', `Connection: Upgrade\r\nUpgrade: h2c,raw\r\n${settings}`],
      ['to h2c in a line of its own', `Connection: Upgrade\r\nUpgrade: raw\r\nUpgrade: h2c\r\n${settings}`],
      ['to a draft of h2c', `Connection: Upgrade\r\nUpgrade: h2c-14\r\n${settings}`],
      ['to h2c with a version', `Connection: Upgrade\r\nUpgrade: h2c/2\r\n${settings}`],
      ['in HTTP/1.0', ASK, '1.0'],
      ['in HTTP/1.0 with keep-alive', 'Connection: keep-alive, Upgrade\r\nUpgrade: raw\r\n', '1.0'],
    ];
    for (const [name, fields, version = '1.1'] of unasked) {
      const bytes = get('/', fields).replace('HTTP/1.1', `HTTP/${version}`);
      test(`is not requested from the upstream: ${name}`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const answer = await (await under.connect()).exchange(bytes);
        assert.equal(answer.status, 200);
        assert.equal(answer.text, '/');
        const asked = upstream.requests[0]?.head;
        for (const field of ['upgrade', 'connection', 'http2-settings']) assert.equal(asked?.get(field), undefined);
      });

      test(`must not be answered 101: ${name}`, async (t) => {
        const upstream = await startUpstream(t, [[request, SWITCH], echo]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        assert.equal((await (await under.connect()).exchange(bytes)).status, 502);
        assert.deepEqual(under.reports, [`UPGRADE_UNASKED at ${upstream.origin}`]);
        await upstream.gone(1);
        assert.equal((await (await under.connect()).exchange(get('/next'))).text, '/next');
      });
    }

    const spellings: [name: string, fields: string, asked: string, answer?: string][] = [
      ['in lower case', 'connection: upgrade\r\nupgrade: raw\r\n', 'raw'],
      ['in capitals', 'CONNECTION: UPGRADE\r\nUPGRADE: RAW\r\n', 'RAW'],
      ['among other options', 'Connection: keep-alive, Upgrade, x-a\r\nUpgrade: raw\r\nX-A: 1\r\n', 'raw'],
      ['in tight lists', 'Connection: keep-alive,upgrade\r\nUpgrade: raw\r\n', 'raw'],
      ['in loose lists', 'Connection: keep-alive \t,\t Upgrade\r\nUpgrade: raw\r\n', 'raw'],
      ['before its option', 'Upgrade: raw\r\nConnection: Upgrade\r\n', 'raw'],
      ['in several lines of options', 'Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: raw\r\n', 'raw'],
      ['with protocols to choose from', 'Connection: Upgrade\r\nUpgrade: other/1, raw\r\n', 'other/1, raw'],
      ['with a line for each protocol',
        'Connection: Upgrade\r\nUpgrade: other/1\r\nUpgrade: raw\r\n', 'other/1, raw'],
      ['answered in another case', ASK, 'raw', SWITCH.replace('Upgrade: raw', 'upgrade: RAW')],
      ['answered among other options', ASK, 'raw', SWITCH.replace(': Upgrade', ': x-a,  UPGRADE')],
    ];
    for (const [name, fields, asked, answer = SWITCH] of spellings) {
      test(`is requested, and succeeds: ${name}`, async (t) => {
        const upstream = await startUpstream(t, [[request, answer, bytes(2), 'ho']]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(`${get('/', fields)}hi`);
        assert.match((await client.head()).line, / 101 /);
        assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
        const [received] = upstream.requests;
        assert.equal(received?.head.get('connection'), 'Upgrade');
        assert.equal(received.head.get('upgrade'), asked);
        assert.equal(received.head.get('x-a'), undefined);
      });
    }

    test('that no upstream can take is answered 503', async (t) => {
      const under = await startBalancer(t, { upstreams: [], front });
      assert.equal((await (await under.connect()).exchange(get('/', ASK))).status, 503);
    });
  });
}

describe('an upgrade on a socket of our own', () => {
  const chunks = 'Transfer-Encoding: chunked\r\n\r\n';
  const refusals: [name: string, bytes: string, closes?: true][] = [
    ['200', response('no')],
    ['400', response('no', '', '400 Bad Request')],
    ['426', response('no', 'Upgrade: other\r\nConnection: Upgrade\r\n', '426 Upgrade Required')],
    ['426 that closes', response('no', 'Upgrade: other\r\nConnection: Upgrade, close\r\n', '426 Upgrade Required')],
    ['400 in chunks', `HTTP/1.1 400 Bad Request\r\n${chunks}2\r\nno\r\n0\r\n\r\n`],
    ['403 until close', 'HTTP/1.1 403 Forbidden\r\n\r\nno', true],
    ['501 of HTTP/1.0', 'HTTP/1.0 501 Not Implemented\r\n\r\nno', true],
  ];
  const requests: [name: string, bytes: string, body: string][] = [
    ['no body', get('/', ASK), ''],
    ['a body of known length', String(post('/', 'hello', ASK)), 'hello'],
    ['a body in chunks', `${get('/', `${ASK}Transfer-Encoding: chunked\r\n`, 'POST')}${String(chunked('hello', 2))}`,
      'hello'],
  ];
  for (const [refusal, answer, closes] of refusals) {
    for (const [name, asked, body] of requests) {
      test(`that is refused by ${refusal}, with ${name}: what was sent ahead are requests`, async (t) => {
        const first: Script = [request, answer, ...closes === true ? [close] : [echo]];
        const upstream = await startUpstream(t, [first, echo]);
        const under = await startBalancer(t, { upstreams: [upstream], front: SOCKET });
        const client = await under.connect();
        client.send(asked + get('/1') + get('/2', '', 'HEAD') + get('/3'));
        const refused = await client.response();
        assert.equal(refused.head.line.split(' ')[1], answer.split(' ')[1]);
        assert.equal(refused.text, 'no');
        assert.equal((await client.response()).text, '/1');
        assert.equal((await client.response('HEAD')).text, '');
        assert.equal((await client.response()).text, '/3');
        assert.equal(upstream.requests[0]?.body.bytes.toString(), body);
        assert.equal(upstream.requests.length, 4);
      });
    }
  }
});
