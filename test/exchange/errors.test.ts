import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BalancerUnderTest, startBalancer, type TestOptions } from '../support/balancer.ts';
import { type Client, get, type Response } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { failsWith, neverConnects } from '../support/streams.ts';
import { close, request, type Script, type ScriptedUpstream, startUpstream } from '../support/upstream.ts';

interface Case {
  readonly name: string;
  readonly status: number;
  readonly type: string;
  readonly script?: Script;
  readonly options?: Partial<TestOptions>;
  /** What to do once the request is sent. */
  readonly then?: (under: BalancerUnderTest, upstream: ScriptedUpstream) => Promise<void>;
}

const CASES: readonly Case[] = [
  {
    name: 'an upstream that refuses',
    status: 502,
    type: 'connection_refused',
    options: { connect: () => failsWith('ECONNREFUSED') },
  },
  {
    name: 'an upstream that cannot be reached',
    status: 502,
    type: 'destination_ip_unroutable',
    options: { connect: () => failsWith('EHOSTUNREACH') },
  },
  {
    name: 'an upstream without an address',
    status: 502,
    type: 'dns_error',
    options: { connect: () => failsWith('ENOTFOUND') },
  },
  {
    name: 'an upstream that takes too long to connect',
    status: 504,
    type: 'connection_timeout',
    options: { connect: () => neverConnects() },
    then: async (under) => {
      await under.picked(1);
      await under.advance(5_000);
    },
  },
  { name: 'an upstream that closes', status: 502, type: 'connection_terminated', script: [request, close] },
  {
    name: 'an upstream that breaks off',
    status: 502,
    type: 'http_response_incomplete',
    script: [request, 'HTTP/', close],
  },
  {
    name: 'an upstream that talks nonsense',
    status: 502,
    type: 'http_protocol_error',
    script: [request, 'SSH-2.0-x\r\n'],
  },
  {
    name: 'an upstream that says too much',
    status: 502,
    type: 'http_response_header_section_size',
    script: [request, `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`],
  },
  {
    name: 'an upstream that switches protocols unasked',
    status: 502,
    type: 'http_upgrade_failed',
    script: [request, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'],
  },
  {
    name: 'an upstream that takes too long',
    status: 504,
    type: 'http_response_timeout',
    script: [request],
    then: async (under, upstream) => {
      await upstream.read(1);
      await under.advance(60_000);
    },
  },
  { name: 'no upstream at all', status: 503, type: 'destination_unavailable', options: { upstreams: [] } },
  {
    name: 'a strategy that declines',
    status: 503,
    type: 'destination_unavailable',
    options: { strategy: { name: 'picky', pick: () => undefined } },
  },
  {
    name: 'a strategy that throws',
    status: 500,
    type: 'proxy_internal_error',
    options: {
      strategy: {
        name: 'broken',
        pick: () => {
          throw new Error('at 127.0.0.1:1234');
        },
      },
    },
  },
];

/** What no error response may reveal: where an upstream is, or how we are built. */
const SECRET = /\d+\.\d+\.\d+\.\d+|10\.9\.8\.7|6543|localhost|\.ts\b|at .*:\d+|node:|Error/;

for (const front of FRONTS) {
  describe(`an error response of our own, through ${front.name}`, () => {
    for (const one of CASES) {
      const { name, status, type } = one;

      const run = async (t: Parameters<typeof startUpstream>[0], method: string) => {
        const upstream = await startUpstream(t, one.script === undefined ? [] : [one.script]);
        const under = await startBalancer(t, { upstreams: [upstream], front, ...one.options });
        const client = await under.connect();
        client.send(get('/', '', method));
        await one.then?.(under, upstream);
        return { under, client, answer: await client.response(method) };
      };

      test(`${name}: ${status}, ${type}`, async (t) => {
        const { under, client, answer } = await run(t, 'GET');
        assert.equal(answer.status, status);
        assert.equal(answer.head.get('proxy-status'), `equipoise; error=${type}`);
        assert.equal(answer.head.get('retry-after'), status === 503 ? '1' : undefined);
        assert.equal(answer.head.get('content-type'), 'text/plain; charset=utf-8');
        assert.match(answer.text, /^[A-Z][a-z .]+\n$/i);
        assert.ok(answer.head.get('date') !== undefined, 'RFC 9110 §6.6.1');
        for (const [field, value] of answer.head.fields) if (field !== 'Date') assert.doesNotMatch(value, SECRET);
        assert.doesNotMatch(answer.text, SECRET);
        await staysOpen(client, answer);
        assert.ok(under.reports.every((report) => !report.startsWith('DOWNSTREAM')));
      });

      test(`${name}, to HEAD: the same without a body`, async (t) => {
        const { client, answer } = await run(t, 'HEAD');
        assert.equal(answer.status, status);
        assert.equal(answer.head.get('proxy-status'), `equipoise; error=${type}`);
        await staysOpen(client, answer);
      });
    }
  });
}

/** The downstream has done nothing wrong: its connection stays open, and nothing is left over on it. */
async function staysOpen(client: Client, answer: Response): Promise<void> {
  assert.notEqual(answer.head.get('connection'), 'close');
  assert.equal((await client.exchange('nonsense\r\n\r\n')).status, 400);
}
