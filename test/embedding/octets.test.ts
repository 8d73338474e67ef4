/**
 * Octets above 0x7f in a response head: HTTP/1.1 allows them (RFC 9112 §4, RFC 9110 §5.5), and the balancer passes them
 * on unchanged, whatever node:http does with strings.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { type FrontKind, FRONTS, serve, SOCKET, UNTIMED } from '../support/fronts.ts';
import { chunked } from '../support/message.ts';
import { head, request, response, type Script, startUpstream, when } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

/** Behind middleware that has set a field, so that fields are set one by one. */
const PRESET: FrontKind = {
  name: 'node:http with a field set before',
  open: (balancer) => serve(http.createServer(UNTIMED, (asked, answer) => {
    answer.setHeader('X-Mine', 'yes');
    balancer.handle(asked, answer);
  })),
};

const LATIN1 = 'caf\xe9 \xff';
const UTF8 = Buffer.from('é ✓ ü').toString('latin1');
const REASON = `200 Tr\xe8s bien ${UTF8}`;
// Content-Length comes first on purpose.
const DISPOSITION = `attachment; filename="${LATIN1} ${UTF8}"`;
const FIELDS = `X-Latin: ${LATIN1}\r\nX-Utf: ${UTF8}\r\nContent-Disposition: ${DISPOSITION}\r\n`;

for (const front of [...FRONTS, PRESET]) {
  describe(`octets above 0x7f through ${front.name} arrive unchanged`, () => {
    const whole = response('hello', FIELDS, REASON);
    const chunkedHead = `HTTP/1.1 ${REASON}\r\nTransfer-Encoding: chunked\r\n${FIELDS}\r\n`;
    const framings: [what: string, sent: readonly string[], asked: string | Buffer][] = [
      ['with a body', [whole], get()],
      ['with a large body', [response('x'.repeat(300_000), FIELDS, REASON)], get()],
      ['without a body', [response('', FIELDS, REASON)], get()],
      ['of a HEAD', [response('', FIELDS, REASON)], get('/', '', 'HEAD')],
      ['with chunks', [chunkedHead + String(chunked('hello', 2))], get()],
      ['before the body', [response('hello', FIELDS, REASON).slice(0, -5), 'hello'], get()],
      ['before chunks', [chunkedHead, String(chunked('hello', 2))], get()],
      ['of 204', [`HTTP/1.1 204 ${REASON.slice(4)}\r\n${FIELDS}\r\n`], get()],
    ];
    for (const [what, sent, asked] of framings) {
      test(what, async (t) => {
        const seen = gate();
        const script: Script = [request, ...sent.flatMap((part, i) => i === 0 ? [part] : [when(seen.opened), part])];
        const upstream = await startUpstream(t, [script]);
        const under = await startBalancer(t, { upstreams: [upstream], front });
        const client = await under.connect();
        client.send(asked);
        const { line, fields } = await client.head();
        seen.open();
        const field = (name: string): string | undefined => fields.find(([key]) => key.toLowerCase() === name)?.[1];
        assert.equal(line, `HTTP/1.1 ${what === 'of 204' ? REASON.replace('200', '204') : REASON}`);
        assert.equal(field('x-latin'), LATIN1);
        assert.equal(field('x-utf'), UTF8);
        assert.equal(field('content-disposition'), DISPOSITION);
        await under.settled(1);
      });
    }

    test('where the head is sent before the request is read', async (t) => {
      const upstream = await startUpstream(t, [[head, `HTTP/1.1 204 ${REASON.slice(4)}\r\n${FIELDS}\r\n`]]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      const upload = post('/', 'hello');
      client.send(upload.subarray(0, -1));
      assert.equal((await client.head()).get('x-latin'), LATIN1);
      client.send(upload.subarray(-1));
      await under.settled(1);
    });

    // A socket of our own requests the second only after the first is answered.
    const pipelines = front !== SOCKET;
    test('where the head waits behind another response', { skip: !pipelines }, async (t) => {
      const [second, body] = [gate(), gate()];
      const before = response('hello', FIELDS, REASON).slice(0, -5);
      const upstream = await startUpstream(t, [
        [request, when(second.opened), response('first')],
        [request, before, when(body.opened), 'hello'],
      ]);
      const under = await startBalancer(t, { upstreams: [upstream], front });
      const client = await under.connect();
      client.send(get('/1') + get('/2'));
      await upstream.read(2);
      second.open();
      assert.equal((await client.response()).text, 'first');
      const { line, fields } = await client.head();
      assert.equal(line, `HTTP/1.1 ${REASON}`);
      assert.equal(fields.find(([name]) => name === 'X-Utf')?.[1], UTF8);
      body.open();
      assert.equal((await client.inbox.exactly(5)).toString(), 'hello');
    });
  });
}
