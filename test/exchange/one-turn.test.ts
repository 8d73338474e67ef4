/**
 * What many connections read in one turn of the event loop, they all send on at its end.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import type { Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { type Balancer, createBalancer } from '../../src/balancer.ts';
import type { BalancerOptions } from '../../src/options/options.ts';
import { get, post } from '../support/client.ts';
import { UNTIMED } from '../support/fronts.ts';
import { connecting, Pipe } from '../support/pipes.ts';
import { atEnd } from '../support/scope.ts';
import { VirtualTime } from '../../src/testing/time.ts';
import { turns } from '../support/wait.ts';

/** Enough for a turn with much to send. */
const MANY = 8;
const ORIGIN = 'http://10.9.8.7:80';

/** Requests that are not repeated once they may have been read. */
const UNREPEATABLE: readonly (readonly [what: string, request: (path: string) => string | Buffer])[] = [
  ['POST without a body', (path) => get(path, '', 'POST')],
  ['POST whose body is kept', (path) => post(path, 'pay')],
];

interface Way {
  readonly name: string;
  /** The entry for a connection. */
  open(balancer: Balancer): (pipe: Pipe) => void;
}

const WAYS: readonly Way[] = [
  {
    name: 'accept',
    open: (balancer) => (pipe) => {
      balancer.accept(pipe as unknown as Socket);
    },
  },
  {
    name: 'node:http',
    open: (balancer) => {
      const server = http.createServer(UNTIMED, balancer.handle);
      return (pipe) => {
        server.emit('connection', pipe);
      };
    },
  },
];

for (const way of WAYS) {
  describe(`many exchanges in one turn, through ${way.name}`, () => {
    test('their output leaves together, after all have been read', async (t) => {
      const house = await start(t, way);
      house.log.length = 0;
      house.ask((i) => get(`/${i}`));
      await turns(5);
      assert.deepEqual(house.log, [...times('pick'), ...times('request')]);
      house.log.length = 0;
      house.answer((path) => `the answer to ${path}`);
      await turns(5);
      assert.deepEqual(house.log, [...times('settled'), ...times('response')]);
      for (const [i, { text }] of house.downstreams.entries()) assert.match(text, new RegExp(`the answer to /${i}$`));
    });

    for (const [what, request] of UNREPEATABLE) {
      test(`an upstream connection that ends before the request was sent loses no ${what}`, async (t) => {
        const house = await start(t, way, { maxReplayBytes: 100 });
        const before = house.upstreams.length;
        house.onPick = () => {
          // After this event, and before the end of the turn.
          process.nextTick(() => {
            for (const upstream of house.upstreams.slice(0, before)) if (upstream.readable) upstream.ends();
          });
          house.onPick = () => undefined;
        };
        house.ask((i) => request(`/${i}`));
        await turns(8);
        assert.equal(house.upstreams.length, 2 * before, 'new connections');
        for (const upstream of house.upstreams.slice(0, before)) assert.doesNotMatch(upstream.text, /POST/);
        for (const upstream of house.upstreams.slice(before)) assert.equal(upstream.text.match(/POST/g)?.length, 1);
        house.answer((path) => `the answer to ${path}`);
        await turns(5);
        for (const [i, { text }] of house.downstreams.entries()) assert.match(text, new RegExp(`the answer to /${i}$`));
        assert.deepEqual(house.balancer.upstreams.map(({ retries }) => retries), [MANY]);
      });
    }

    test('what an upstream sends before the request was sent is not its response', async (t) => {
      const house = await start(t, way);
      const before = house.upstreams.length;
      house.onPick = () => {
        process.nextTick(() => {
          for (const upstream of house.upstreams.slice(0, before)) upstream.comes(ok('of somebody else'));
        });
        house.onPick = () => undefined;
      };
      house.ask((i) => get(`/${i}`));
      await turns(8);
      for (const upstream of house.upstreams.slice(0, before)) assert.equal(upstream.destroyed, true);
      house.answer((path) => `the answer to ${path}`);
      await turns(5);
      for (const [i, { text }] of house.downstreams.entries()) {
        assert.match(text, new RegExp(`the answer to /${i}$`));
        assert.doesNotMatch(text, /somebody else/);
      }
    });

    test('a close of the balancer before they were sent cuts none of the answers', async (t) => {
      const house = await start(t, way);
      house.ask((i) => get(`/${i}`));
      await turns(5);
      let closed: Promise<{ cut: number }> | undefined;
      house.onSettled = () => {
        closed ??= house.balancer.close({ timeoutMs: 1_000 });
      };
      house.answer((path) => `the answer to ${path}`);
      assert.ok(closed !== undefined, 'closed while the answers wait');
      await turns(5);
      for (const [i, { text }] of house.downstreams.entries()) assert.match(text, new RegExp(`the answer to /${i}$`));
      for (const downstream of house.downstreams) downstream.ends();
      assert.deepEqual(await closed, { cut: 0 });
    });

    test('a close with no time still sends the answers that are ready', async (t) => {
      const house = await start(t, way);
      house.ask((i) => get(`/${i}`));
      await turns(5);
      let closed: Promise<{ cut: number }> | undefined;
      house.onSettled = () => {
        closed ??= house.balancer.close({ timeoutMs: 0 });
      };
      house.answer((path) => `the answer to ${path}`);
      house.time.advance(1_000);
      await closed;
      await turns(5);
      for (const [i, { text }] of house.downstreams.entries()) {
        if (text !== '') assert.match(text, new RegExp(`the answer to /${i}$`));
      }
      assert.match(house.downstreams[0]?.text ?? '', /the answer to \/0$/);
    });

    test('a downstream that goes away before its answer was sent does not affect the others', async (t) => {
      const house = await start(t, way);
      house.ask((i) => get(`/${i}`));
      await turns(5);
      house.answer((path) => `the answer to ${path}`);
      house.downstreams[0]?.destroy();
      await turns(5);
      assert.equal(house.downstreams[0]?.text, '');
      for (const [i, { text }] of house.downstreams.entries()) {
        if (i > 0) assert.match(text, new RegExp(`the answer to /${i}$`));
      }
    });
  });
}

/** As many times as there are exchanges. */
function times(what: string): string[] {
  return Array.from({ length: MANY }, () => what);
}

function ok(body: string): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** A balancer with MANY downstreams and as many idle upstream connections, all of them pipes. */
class House {
  readonly log: string[] = [];
  readonly upstreams: Pipe[] = [];
  readonly downstreams: Pipe[] = [];
  readonly time = new VirtualTime();
  readonly balancer: Balancer;
  onPick = (): void => undefined;
  onSettled = (): void => undefined;

  constructor(options: Partial<BalancerOptions> = {}) {
    this.balancer = createBalancer({
      upstreams: [ORIGIN],
      strategy: {
        name: 'first',
        pick: (candidates) => {
          this.log.push('pick');
          this.onPick();
          return candidates[0];
        },
        settled: () => {
          this.log.push('settled');
          this.onSettled();
        },
      },
      time: this.time,
      connect: () => {
        const pipe = connecting(() => this.log.push('request'));
        this.upstreams.push(pipe);
        return pipe;
      },
      ...options,
    });
  }

  /** Makes all downstreams ask in one turn. */
  ask(request: (i: number) => string | Buffer): void {
    for (const [i, downstream] of this.downstreams.entries()) {
      downstream.written.length = 0;
      downstream.comes(request(i).toString('latin1'));
    }
  }

  /** Makes all upstreams answer their latest request in one turn. */
  answer(body: (path: string) => string): void {
    for (const upstream of this.upstreams.filter(({ destroyed }) => !destroyed)) {
      upstream.comes(ok(body([...upstream.text.matchAll(/(?:GET|POST) (\S+) HTTP/g)].at(-1)?.[1] ?? '')));
    }
  }
}

async function start(t: TestContext, way: Way, options: Partial<BalancerOptions> = {}): Promise<House> {
  const house = new House(options);
  const open = way.open(house.balancer);
  for (let i = 0; i < MANY; i++) {
    const downstream = new Pipe(() => house.log.push('response'));
    house.downstreams.push(downstream);
    open(downstream);
  }
  atEnd(t, async () => {
    for (const downstream of house.downstreams) downstream.destroy();
    const closed = house.balancer.close({ timeoutMs: 0 });
    house.time.advance(1);
    await closed;
  });
  // The first exchange of each: from then on, the balancer knows that turns have much to send.
  house.ask(() => get('/warm'));
  await turns(5);
  house.answer(() => 'warm');
  await turns(5);
  for (const { text } of house.downstreams) assert.match(text, /warm$/);
  return house;
}
