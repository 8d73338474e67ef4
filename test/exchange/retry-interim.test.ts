import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { BUSY } from '../support/replies.ts';
import { bytes, head, request, reset, response, startUpstream, type Step, when } from '../support/upstream.ts';
import { gate } from '../support/wait.ts';

const RULES = { retryOn: [502, 503], maxReplayBytes: 100 } as const;
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const ASK = get('/', 'Content-Length: 5\r\nExpect: 100-continue\r\n', 'PUT');
const body: Step = (peer) => peer.bytes(5);

for (const front of FRONTS) {
  test(`hints of an attempt that is retried have been passed on, through ${front.name}`, async (t) => {
    const hint = (link: string): string => `HTTP/1.1 103 Early Hints\r\nLink: <${link}>; rel=preload\r\n\r\n`;
    const upstream = await startUpstream(t, [[request, hint('/a'), BUSY]]);
    const other = await startUpstream(t, [[request, hint('/b'), response('done')]]);
    const under = await startBalancer(t, { upstreams: [upstream, other], front, ...RULES });
    const answer = await (await under.connect()).exchange(get());
    assert.deepEqual([answer.status, answer.text], [200, 'done']);
    assert.deepEqual(answer.interims.map((interim) => interim.get('link')), [
      '</a>; rel=preload', '</b>; rel=preload',
    ]);
  });

  describe(`an upgrade through ${front.name}`, () => {
    const UPGRADE = get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n');
    const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n';

    test('that one upstream cannot serve is served by another', async (t) => {
      const upstream = await startUpstream(t, [[head, BUSY]]);
      const other = await startUpstream(t, [[head, SWITCH, bytes(2), 'ho']]);
      const under = await startBalancer(t, { upstreams: [upstream, other], front, ...RULES });
      const client = await under.connect();
      client.send(UPGRADE);
      assert.match((await client.head()).line, /^HTTP\/1\.1 101 /);
      client.send('hi');
      assert.equal((await client.inbox.exactly(2)).toString(), 'ho');
      client.end();
      await client.over();
      assert.deepEqual(under.outcomes.map(({ status }) => status), [503, 101]);
    });

    test('that has happened is not retried', async (t) => {
      const switched = gate();
      const upstream = await startUpstream(t, [[head, SWITCH, when(switched.opened), reset]]);
      const other = await startUpstream(t, []);
      const under = await startBalancer(t, { upstreams: [upstream, other], front, ...RULES });
      const client = await under.connect();
      client.send(UPGRADE);
      await client.head();
      switched.open();
      assert.equal(await client.over(), 'reset');
      await under.settled(1);
      assert.equal(under.picks.length, 1);
    });
  });
}

describe('a downstream that asked whether to send its body', () => {
  test('gets one 100, and its body goes to both', async (t) => {
    const upstream = await startUpstream(t, [[head, CONTINUE, body, BUSY]]);
    const other = await startUpstream(t, [[head, CONTINUE, body, response('done')]]);
    const under = await startBalancer(t, { upstreams: [upstream, other], ...RULES });
    const client = await under.connect();
    client.send(ASK);
    assert.match((await client.head()).line, / 100 /);
    client.send('hello');
    const answer = await client.response();
    assert.deepEqual([answer.status, answer.text, answer.interims.length], [200, 'done', 0]);
    for (const { events } of [upstream, other]) assert.ok(events.includes('1 read hello'));
  });

  test('gets it from the second, where the first has refused without one', async (t) => {
    const upstream = await startUpstream(t, [[head, BUSY]]);
    const other = await startUpstream(t, [[head, CONTINUE, body, response('done'), request, response('next')]]);
    const under = await startBalancer(t, { upstreams: [upstream, other], ...RULES, strategy: {
      name: 'by method', pick: (candidates, context) => candidates.at(context.request.method === 'PUT' ? 0 : -1),
    } });
    const client = await under.connect();
    client.send(ASK);
    assert.match((await client.head()).line, / 100 /);
    client.send('hello');
    assert.equal((await client.response()).text, 'done');
    assert.equal((await client.exchange(get())).text, 'next');
    await upstream.gone(1);
    assert.ok(!upstream.events.includes('1 read hello'));
  });

  test('gets the refusal of the last, and its connection ends', async (t) => {
    const upstream = await startUpstream(t, [[head, BUSY]]);
    const other = await startUpstream(t, [[head, BUSY]]);
    const under = await startBalancer(t, { upstreams: [upstream, other], ...RULES });
    const client = await under.connect();
    client.send(ASK);
    const answer = await client.response();
    assert.deepEqual([answer.status, answer.interims.length, answer.head.get('connection')], [503, 0, 'close']);
  });
});
