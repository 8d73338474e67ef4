import assert from 'node:assert/strict';
import http, { type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import { exchange, type WireExchange } from '../support/wire-client.ts';
import { corpus, faultOf, groups, type WireCase } from '../support/wire-corpus.ts';
import { type RecordingUpstream, startRecordingUpstream } from '../support/wire-upstream.ts';

/**
 * Where the semantics of node:http make a case end differently: the accepted fault, and the reason. Versions of Node
 * differ, so a case may also end as it should.
 */
const OF_NODE: Readonly<Record<string, readonly [fault: RegExp, why: string]>> = {
  'method-unknown-token': [/decoded 0 of 1; the client got 400/, 'its parser knows a fixed list of methods'],
  'close-stops': [/decoded 1 of 1; the client got 400/, 'its parser fails on bytes behind Connection: close'],
  'two-spaces-before-target': [/one too many: GET \/$/, 'its parser skips spaces before a target'],
  'http09': [/the client got 505/, 'its parser takes a missing version for 0.9, which we refuse as such'],
  'connect': [/the client got , and the end/, 'without a listener for CONNECT it closes the connection'],
  'expect-unknown': [/stayed open after the refusal/, 'it answers 417 itself, and goes on behind the body'],
};

describe('embedded in a server of node:http', () => {
  let upstream: RecordingUpstream;
  let balancer: Balancer;
  let server: Server;
  let port: number;
  const reports: string[] = [];

  before(async () => {
    upstream = await startRecordingUpstream();
    balancer = createBalancer({
      upstreams: [upstream.origin],
      onReport: ({ error }) => reports.push(`${error.code}: ${error.message}`),
    });
    server = http.createServer(balancer.handle).on('upgrade', balancer.upgrade);
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    port = (server.address() as AddressInfo).port;
  });

  after(async () => {
    server.close();
    server.closeAllConnections();
    await balancer.close({ timeoutMs: 0 });
    await upstream.close();
  });

  for (const [group, cases] of groups()) {
    describe(group, () => {
      for (const wire of cases) {
        test(`${wire.id}: ${wire.expect}`, async () => {
          const seen = inOrderOf(wire, await exchange(wire, port, upstream));
          const last = seen.responses.at(-1);
          const ownAnswer = last !== undefined && last.status >= 400 && !/^proxy-status:/im.test(last.head);
          // Where its parser refuses before we get the request, it chooses the status.
          const status = ownAnswer ? [400, 413, 417, 431] : wire.status;
          const fault = faultOf(wire.status === undefined || status === undefined ? wire : { ...wire, status }, seen);
          const [expected, why] = OF_NODE[wire.id] ?? [];
          if (fault === undefined || expected === undefined) assert.equal(fault, undefined, wire.why);
          else assert.match(fault, expected, why);
        });
      }
    });
  }

  test('every exception for Node names a case', () => {
    const ids = new Set(corpus.map(({ id }) => id));
    assert.deepEqual(Object.keys(OF_NODE).filter((id) => !ids.has(id)), []);
  });

  test('none of this was a failure of the balancer', () => {
    assert.deepEqual(reports, []);
  });
});

/**
 * The same with its messages in the order of the case, as far as they are its messages: node:http hands on pipelined
 * requests at once, each goes over a connection of its own, and they arrive in any order.
 */
function inOrderOf({ messages }: WireCase, seen: WireExchange): WireExchange {
  const place = ({ method, target, body }: WireExchange['decoded'][number]): number => messages
    .findIndex((want) => want.method === method && want.target === target && want.body === body);
  const decoded = seen.decoded.every((message) => place(message) >= 0)
    ? [...seen.decoded].sort((one, other) => place(one) - place(other)) : seen.decoded;
  return { ...seen, decoded };
}
