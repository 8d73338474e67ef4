/**
 * A RST and a FIN on each of the four socket sides, in every phase of an exchange: the process survives each of them,
 * prints nothing, leaves nothing in flight, and serves the next request.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { BLACK_HOLE, type Break, type Breakable, forkBreakable, startBreakable } from '../support/breakable.ts';
import { type Client, connectTo, get } from '../support/client.ts';
import { UPGRADE } from '../support/fault-row.ts';
import { PLAIN, SWITCHED } from '../support/faults.ts';
import { FRONTS } from '../support/fronts.ts';
import { quiet } from '../support/quiet.ts';
import { atEnd } from '../support/scope.ts';
import {
  bytes, halfClose, head, type Peer, play, request, type ScriptedUpstream, type Step, startUpstream, untilEnd,
} from '../support/upstream.ts';
import { gate, turns } from '../support/wait.ts';

/** `client`, `upstream server`: the far ends. The others are the balancer's own. */
const SIDES = ['client', 'downstream', 'upstream', 'upstream server'] as const;
type Side = (typeof SIDES)[number];

interface Phase {
  readonly name: string;
  /** Where there is a socket to break. Default: on all sides. */
  readonly sides?: readonly Side[];
  /** What the client sends. */
  readonly sent: string;
  /** What the upstream has done by then. */
  readonly script: readonly Step[];
  /** The sign of the phase: in what the client gets, and in what the upstream records. */
  readonly shown?: (client: Client, upstream: ScriptedUpstream) => Promise<unknown>;
  /** The upstream event with which the phase begins. */
  readonly event?: string;
}

const UPLOAD = `${get('/', 'Transfer-Encoding: chunked\r\n', 'POST')}5\r\nhello\r\n`;
const ASKING = get('/', UPGRADE);
const tunnel: readonly Step[] = [head, SWITCHED.head + SWITCHED.body];
const BULK = Buffer.alloc(200_000);

const through = async (client: Client): Promise<void> => {
  await client.head();
  await client.inbox.exactly(SWITCHED.body.length);
};

const PHASES: readonly Phase[] = [
  { name: 'in the head of a request', sides: ['client', 'downstream'], sent: get().slice(0, 20), script: [] },
  {
    name: 'while the upstream is being connected',
    sides: ['client', 'downstream', 'upstream'],
    sent: get(BLACK_HOLE),
    // A failed connect is retried here.
    script: [request],
  },
  { name: 'as the request reaches the upstream', sent: get(), script: [bytes(1)], event: 'read G' },
  { name: 'while the response is awaited', sent: get(), script: [request], event: 'GET /' },
  { name: 'in the head of a response', sent: get(), script: [request, PLAIN.head.slice(0, 20)], event: 'GET /' },
  {
    name: 'in the body of a response',
    sent: get(),
    script: [request, `${PLAIN.head}hello`],
    shown: (client) => client.inbox.until('hello'),
  },
  {
    name: 'in the body of a large response that the client does not read',
    sent: get(),
    script: [request, `HTTP/1.1 200 OK\r\nContent-Length: 16000000\r\n\r\n`, Buffer.alloc(16_000_000)],
    shown: (client) => client.head(),
  },
  { name: 'between two requests', sent: get(), script: [request, PLAIN.head + PLAIN.body], shown: (c) => c.response() },
  { name: 'in an upload', sent: UPLOAD, script: [head], event: 'POST /' },
  {
    name: 'in an upload whose response has begun',
    sent: UPLOAD,
    script: [head, `${PLAIN.head}hello`],
    shown: (client) => client.inbox.until('hello'),
  },
  {
    name: 'in an upload whose response is complete',
    sent: UPLOAD,
    script: [head, PLAIN.head + PLAIN.body],
    shown: (client) => client.response(),
  },
  { name: 'while an upgrade is asked for', sent: ASKING, script: [head], event: 'GET /' },
  {
    name: 'in the refusal of an upgrade',
    sent: ASKING,
    script: [head, 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 10\r\n\r\nhello'],
    shown: (client) => client.inbox.until('hello'),
  },
  {
    name: 'behind the refusal of an upgrade',
    // The balancer no longer listens on a socket that it closes.
    sides: ['client', 'downstream', 'upstream server'],
    sent: ASKING,
    script: [head, 'HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nhello'],
    shown: (client) => client.response(),
  },
  { name: 'in a tunnel', sent: ASKING, script: tunnel, shown: through },
  {
    name: 'in a tunnel with data both ways',
    sent: ASKING,
    script: [...tunnel, bytes(4), BULK],
    shown: async (client) => {
      await through(client);
      client.send('ping').send(BULK);
      await client.inbox.exactly(1);
    },
  },
  {
    name: 'in a tunnel that the client has half closed',
    sent: ASKING,
    script: [...tunnel, untilEnd, 'still here'],
    shown: async (client) => {
      await through(client);
      client.end();
      await client.inbox.until('still here');
    },
  },
  {
    name: 'in a tunnel that the upstream has half closed',
    sent: ASKING,
    script: [...tunnel, halfClose],
    shown: async (client) => {
      await through(client);
      await client.over();
    },
  },
];

/** The remaining sides continue as if nothing had happened: that is how they meet broken sockets. */
const goOn = ({ socket }: { readonly socket: Client['socket'] }): void => {
  if (socket.writable) socket.write('5\r\nhello\r\n');
};

async function matrix(t: TestContext, start: (origin: string) => Promise<Breakable>): Promise<void> {
  let script: (peer: Peer) => unknown = () => undefined;
  const upstream = await startUpstream(t, (peer) => script(peer));
  const under = await start(upstream.origin);
  atEnd(t, () => under.close());
  for (const [at, front] of FRONTS.entries()) {
    for (const phase of PHASES) {
      for (const side of phase.sides ?? SIDES) {
        for (const how of ['RST', 'FIN'] as const) {
          await t.test(`${how} at the ${side} ${phase.name}, through ${front.name}`, async () => {
            const broken = gate();
            script = async (peer) => {
              await play(peer, phase.script);
              await broken.opened;
              goOn(peer);
            };
            const client = await connectTo(t, under.ports[at] ?? 0);
            await cell(client, phase, side, how);
            broken.open();
            goOn(client);
            await turns(4);
            client.reset();
            await under.idle();
            await upstream.forget();

            script = async (peer) => {
              await play(peer, [request, PLAIN.head.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'), PLAIN.body]);
            };
            const next = await connectTo(t, under.ports[at] ?? 0);
            assert.equal((await next.exchange(get('/next', 'Connection: close\r\n'))).text, PLAIN.body);
            next.destroy();
            await under.idle();
            await upstream.forget();
          });
        }
      }
    }
  }

  async function cell(client: Client, { sent, shown, event }: Phase, side: Side, how: Break): Promise<void> {
    client.send(sent);
    if (sent.includes(BLACK_HOLE)) await under.connecting();
    if (event !== undefined) await upstream.sawAnywhere(event);
    await shown?.(client, upstream);
    if (side === 'client') {
      if (how === 'RST') client.reset();
      else client.end();
    } else if (side === 'upstream server') {
      const socket = upstream.peers.at(-1)?.socket;
      if (how === 'RST') socket?.resetAndDestroy();
      else socket?.end();
    } else await under.break(side, how);
  }
}

test('a broken socket in any phase does not end the process', async (t) => {
  await matrix(t, forkBreakable);
});

test('a broken socket in any phase affects no other exchange', async (t) => {
  quiet(t);
  await matrix(t, startBreakable);
});
