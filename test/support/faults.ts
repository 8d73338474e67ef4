/**
 * The fault kit: what upstreams do to a balancer. Each fault is a script for the connection that meets it.
 */
import type { Duplex } from 'node:stream';
import type { Head } from './message.ts';
import { neverConnects } from './streams.ts';
import {
  bytes, close, halfClose, head, type Peer, play, refusingOrigin, request, reset, type Script, type Step,
} from './upstream.ts';
import { turns } from './wait.ts';

/** What a faulty upstream would have answered without its fault. */
export interface Answer {
  readonly head: string;
  readonly body: string;
}

/** What a script is built from. */
export interface Scene extends Answer {
  /** Must be called where the script stalls. */
  readonly stalled: () => void;
}

export interface Fault {
  /** What the upstream does, as in "an upstream that ...". */
  readonly name: string;
  /** What happens on a connection, from its first byte. */
  readonly script?: (scene: Scene) => readonly Step[];
  /** Instead of a connection: an origin that refuses connections. */
  readonly origin?: string;
  /** Instead of a connection: a stream that fails or never connects. */
  readonly connect?: () => Duplex;
  /** Whether the connection serves a request before the one that meets the fault. */
  readonly used?: true;
  /** Whether the fault lasts until a timeout of the balancer. */
  readonly stalls?: true;
}

export const PLAIN: Answer = { head: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n', body: 'helloworld' };
/** The head of the answer to an upgrade, and the first bytes through the tunnel. */
export const SWITCHED: Answer = {
  head: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n', body: PLAIN.body,
};

/** Lets the bytes sent so far arrive before the next step can overtake them. */
export const arrived = (): Promise<void> => turns(8);

/** Serves every request on the connection properly. */
export async function well(peer: Peer): Promise<void> {
  for (;;) {
    const asked = await peer.request();
    const { head: start, body } = answerTo(asked.head);
    peer.send(start + body);
    if (start !== SWITCHED.head) continue;
    await peer.inbox.over();
    peer.socket.end();
    return;
  }
}

/** The proper answer to a request. */
export function answerTo(asked: Head): Answer {
  return asked.get('upgrade') === undefined ? PLAIN : SWITCHED;
}

/** One fault; everything else that arrives on the connection is served. */
export function faulty(fault: Fault, scene: Scene): Script {
  const script = fault.script?.(scene) ?? [];
  return async (peer) => {
    if (fault.used) {
      await request(peer);
      peer.send(PLAIN.head + PLAIN.body);
    }
    await play(peer, script);
    // If the fault left the connection open, it may be reused.
    if (peer.socket.writable && !fault.stalls) await well(peer);
  };
}

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
const HALF_A_HEAD = 'HTTP/1.1 200 OK\r\nContent-Len';
const GOES = { closes: close, resets: reset, 'half-closes': halfClose } as const;

/** Each kind of end at one point of the exchange. */
function goes(where: string, before: (scene: Scene) => readonly Step[]): Fault[] {
  return Object.entries(GOES).map(([way, go]) => ({
    name: `${way} ${where}`, script: (scene) => [...before(scene), arrived, go],
  }));
}

export const FAULTS: readonly Fault[] = [
  { name: 'refuses', origin: refusingOrigin() },
  { name: 'is a black hole', connect: neverConnects, stalls: true },
  ...goes('as soon as it has accepted', () => []),
  ...goes('in the middle of an upload', () => [head]),
  ...goes('without an answer', () => [request]),
  ...goes('in the head', () => [request, HALF_A_HEAD]),
  ...goes('in the body', ({ head: start, body }) => [request, start + body.slice(0, 5)]),
  ...goes('in a body in chunks', () => [request, `${CHUNKED}5\r\nhello\r\n`]),
  ...goes('in a body until close', () => [request, 'HTTP/1.1 200 OK\r\n\r\nhello']),
  ...goes('after its answer', ({ head: start, body }) => [request, start + body]),
  {
    name: 'trickles',
    script: ({ head: start, body }) => [request, async (peer) => {
      for (const octet of Buffer.from(start + body)) {
        peer.send(Buffer.of(octet));
        await turns(2);
      }
    }],
  },
  { name: 'stalls before it answers', stalls: true, script: ({ stalled }) => [request, stalled] },
  { name: 'stalls in the head', stalls: true, script: ({ stalled }) => [request, HALF_A_HEAD, stalled] },
  {
    name: 'stalls in the body',
    stalls: true,
    script: ({ head: start, body, stalled }) => [request, start + body.slice(0, 5), stalled],
  },
  {
    name: 'answers early',
    script: ({ head: start, body }) => [async (peer) => {
      const asked = await peer.head();
      peer.send(start + body);
      await peer.body(asked);
    }],
  },
  { name: 'answers early and closes', script: ({ head: start, body }) => [head, start + body, arrived, close] },
  { name: 'answers early and resets', script: ({ head: start, body }) => [head, start + body, arrived, reset] },
  { name: 'answers before it is asked', script: ({ head: start, body }) => [start + body, request] },
  { name: 'sends garbage for a head', script: () => [request, '\x16\x03\x01\x02 garbage\r\n\r\n'] },
  { name: 'sends garbage in chunks', script: () => [request, `${CHUNKED}5\r\nhello\r\nzz\r\ngarbage\r\n`] },
  { name: 'sends garbage after its answer', script: () => [request, `${PLAIN.head}${PLAIN.body}garbage`] },
  {
    name: 'announces more than it sends',
    script: () => [request, 'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhelloworld', arrived, close],
  },
  {
    name: 'announces less than it sends',
    script: () => [request, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloworld'],
  },
  {
    name: 'announces two lengths',
    script: () => [request, 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 10\r\n\r\nhelloworld'],
  },
  {
    name: 'announces a length and chunks',
    script: () => [request, `${CHUNKED.slice(0, -2)}Content-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n`],
  },
  { name: 'sends an oversized head', script: () => [request, `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`] },
  {
    name: 'floods with interim responses',
    script: () => [request, 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(40)],
  },
  { name: 'switches protocols without a name', script: () => [request, 'HTTP/1.1 101 Switching Protocols\r\n\r\n'] },
  { name: 'closes an idle connection exactly as it is reused', used: true, script: () => [bytes(1), close] },
  { name: 'resets an idle connection exactly as it is reused', used: true, script: () => [bytes(1), reset] },
  { name: 'closes a reused connection without an answer', used: true, script: () => [request, close] },
  { name: 'closes a reused connection in the head', used: true, script: () => [request, HALF_A_HEAD, arrived, close] },
];
