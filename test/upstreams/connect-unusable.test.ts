/**
 * Faults of the option `connect`: an `https:` upstream never gets plain text, and the upstream is not blamed for
 * faults of the option.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import { Duplex, PassThrough, Writable } from 'node:stream';
import type { BalancerOptions } from '../../src/options/options.ts';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { quiet } from '../support/quiet.ts';
import { echo, refusingOrigin, startUpstream } from '../support/upstream.ts';
import { turns } from '../support/wait.ts';

type Connect = (...asked: Parameters<NonNullable<BalancerOptions['connect']>>) => unknown;

const destroyed = new PassThrough().destroy();
const noDelayThrows = (): Duplex => Object.assign(new PassThrough(), {
  setNoDelay: () => {
    throw new Error('no socket');
  },
});

/** What `connect` does for an upstream A, and how it is reported. */
const UNUSABLE: readonly [name: string, connect: Connect, said: RegExp][] = [
  ['throws', () => { throw new Error('no key'); }, /^connect threw for ORIGIN: no key$/],
  ['throws what is no error', () => { throw 'a string' as unknown; }, /^connect threw for ORIGIN: a string$/],
  ['returns a promise', () => new Promise(() => undefined), /^connect returned a promise for ORIGIN; return a stream/],
  ['returns a promise that rejects', () => Promise.reject(new Error('x')), /^connect returned a promise for ORIGIN/],
  ['returns null', () => null, /^connect returned null for ORIGIN; return a stream/],
  ['returns a number', () => 5, /^connect returned 5 for ORIGIN; return a stream/],
  ['returns an object', () => ({ on: 1 }), /^connect returned \{"on":1\} for ORIGIN; return a stream/],
  ['returns a stream to write alone', () => new Writable(), /^connect returned .* for ORIGIN; return a stream/],
  ['returns a stream of text', () => new PassThrough().setEncoding('utf8'), /^connect returned a stream of text/],
  ['returns a stream of objects', () => new PassThrough({ objectMode: true }), /^connect returned a stream of text/],
  ['returns a closed stream', () => destroyed, /^connect returned a closed stream for ORIGIN/],
  ['returns a stream that cannot be set up', noDelayThrows, /^setNoDelay of what connect returned for ORIGIN thr/],
];

for (const front of FRONTS) {
  describe(`an upstream for which connect gives nothing usable, through ${front.name}`, () => {
    const cases: readonly (typeof UNUSABLE[number] | readonly [string, Connect, RegExp, 'https'])[] = [
      ...UNUSABLE,
      ['returns undefined for https:', () => undefined,
        /^connect returned undefined for ORIGIN, which needs TLS; return a TLS stream for it$/, 'https'],
    ];
    for (const [name, connect, said, scheme = 'http'] of cases) {
      test(`${name}: another one serves, and the upstream is not blamed`, async (t) => {
        quiet(t);
        // A connection in plain text would be noticed.
        const a = await startUpstream(t, []);
        const b = await startUpstream(t, echo);
        const origin = a.origin.replace('http', scheme);
        const under = await startBalancer(t, {
          upstreams: [origin, b], front, ejectAfter: 1, maxAttempts: 2,
          connect: (upstream, means) => {
            return (upstream.origin === origin ? connect(upstream, means) : undefined) as Duplex | undefined;
          },
        });
        for (const bytes of [get('/a'), post('/a', 'body')]) {
          assert.equal((await (await under.connect()).exchange(bytes)).text, '/a');
        }
        assert.deepEqual(under.reports, [`CONNECT_UNUSABLE at ${origin}`, `CONNECT_UNUSABLE at ${origin}`]);
        for (const { message } of under.errors) assert.match(message.replace(origin, 'ORIGIN'), said);
        const [{ state, failures, ejections, picks } = assert.fail()] = under.balancer.upstreams;
        assert.deepEqual([state, failures, ejections, picks], ['active', 0, 0, 2]);
        await turns(4);
        assert.deepEqual(a.events, []);
      });

      test(`${name}, and no other is left: 502`, async (t) => {
        quiet(t);
        const origin = refusingOrigin().replace('http', scheme);
        const under = await startBalancer(t, {
          upstreams: [origin], front, connect: (...asked) => connect(...asked) as Duplex | undefined,
        });
        const answer = await (await under.connect()).exchange(get());
        assert.equal(answer.status, 502);
        assert.equal(answer.head.get('proxy-status'), 'equipoise; error=proxy_configuration_error');
        assert.doesNotMatch(answer.text, /127|http/);
        assert.equal(under.reports.length, 1);
      });
    }
  });
}

test('a stream from a promise is closed, since nothing else would close it', async (t) => {
  const upstream = await startUpstream(t, () => undefined);
  const under = await startBalancer(t, {
    upstreams: [upstream],
    connect: ({ host, port }) => {
      const socket = net.connect({ host, port });
      return once(socket, 'connect').then(() => socket) as unknown as Duplex;
    },
  });
  assert.equal((await (await under.connect()).exchange(get())).status, 502);
  await upstream.gone(1);
});

test('a stream that connect returned before is not used for two requests at once', async (t) => {
  const shared = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => { done(); } });
  const under = await startBalancer(t, { upstreams: ['http://a.test'], connect: () => shared });
  const one = await under.connect();
  one.send(get('/one'));
  await under.picked(1);
  assert.equal((await (await under.connect()).exchange(get('/two'))).status, 502);
  assert.match(under.errors[0]?.message ?? '', /^connect returned the same stream twice, for http:\/\/a\.test/);
  assert.ok(!shared.destroyed, 'the first request goes on');
});
