/**
 * The fault kit, downstream: how clients leave, at each stage of an exchange.
 */
import type { BalancerUnderTest } from './balancer.ts';
import { type Client, get } from './client.ts';
import { answerTo, arrived, PLAIN, SWITCHED, well } from './faults.ts';
import { type Kind, KINDS, UPGRADE } from './fault-row.ts';
import {
  halfClose, head, type Peer, request, type Script, type ScriptedUpstream, type Step, untilEnd, when,
} from './upstream.ts';
import { turns } from './wait.ts';

/** An orderly close, or a reset. */
export type Leave = 'FIN' | 'RST';
export const LEAVES: readonly Leave[] = ['FIN', 'RST'];

export interface Stage {
  /** Where the client leaves. */
  readonly name: string;
  /** The kinds of request that get there. */
  readonly of: readonly Kind[];
  /** How the client can leave there. Default: both ways. */
  readonly by?: readonly Leave[];
  /**
   * What the upstream does before and after the client has `left`. Without a script its connection is never
   * established.
   */
  readonly script?: (left: Promise<void>) => Script;
  /** Takes the exchange to this stage. */
  readonly reach: (on: Scene) => Promise<unknown>;
}

export interface Scene {
  readonly client: Client;
  readonly asked: Kind;
  readonly under: BalancerUnderTest;
  readonly upstream: ScriptedUpstream;
}

const PLAINLY: readonly Kind[] = ['GET', 'POST'];
/** More than all buffers between two sockets hold. */
const FLOOD = Buffer.alloc(16 << 20);
/** A FIN would wait behind the flood. */
const BEHIND_A_FLOOD: readonly Leave[] = ['RST'];

/** The head of a request, and of a POST the body that makes it whole. */
function asking(asked: Kind, target: string): readonly [head: string, body: string] {
  if (asked === 'GET') return [get(target), ''];
  if (asked === 'upgrade') return [get(target, UPGRADE), ''];
  return [get(target, 'Transfer-Encoding: chunked\r\n', 'POST'), '4\r\nsome\r\n6\r\npieces\r\n0\r\n\r\n'];
}

/** Sends a whole request. */
function whole({ client, asked }: Scene): void {
  client.send(asking(asked, '/x').join(''));
}

/** Sends a whole request and waits until the upstream has read its head. */
async function read(on: Scene): Promise<void> {
  whole(on);
  await on.upstream.saw(`1 ${on.asked === 'POST' ? 'POST' : 'GET'} /x`);
}

/** Sends an upgrade and waits for the tunnel, and the first bytes through it. */
async function through(on: Scene): Promise<void> {
  whole(on);
  await on.client.head();
  await on.client.inbox.exactly(SWITCHED.body.length);
}

const answer = (part: (whole: string) => string): Script => async (peer: Peer) => {
  const { head: start, body } = answerTo((await peer.request()).head);
  peer.send(part(start + body));
};
const switched: readonly Step[] = [head, SWITCHED.head + SWITCHED.body];

export const STAGES: readonly Stage[] = [
  {
    name: 'before its request head is complete',
    of: KINDS,
    script: () => well,
    reach: async ({ client, asked }) => {
      client.send(asking(asked, '/x')[0].slice(0, -4));
      await arrived();
    },
  },
  {
    name: 'while its upstream is being connected',
    of: KINDS,
    reach: async (on) => {
      whole(on);
      await on.under.picked(1);
    },
  },
  {
    name: 'after its request head',
    of: ['POST'],
    script: () => [request],
    reach: async ({ client, asked, upstream }) => {
      client.send(asking(asked, '/x')[0]);
      await upstream.saw('1 POST /x');
    },
  },
  {
    name: 'in the middle of its body',
    of: ['POST'],
    script: () => [request],
    reach: async ({ client, asked, upstream }) => {
      const [start, body] = asking(asked, '/x');
      client.send(start + body.slice(0, 12));
      await upstream.saw('1 POST /x');
      await arrived();
    },
  },
  {
    name: 'while it floods an upstream that does not read',
    of: ['POST'],
    by: BEHIND_A_FLOOD,
    script: (left) => [head, when(left)],
    reach: async ({ client, asked, upstream }) => {
      client.send(`${asking(asked, '/x')[0]}${FLOOD.length.toString(16)}\r\n`).send(FLOOD);
      await upstream.saw('1 POST /x');
      await arrived();
    },
  },
  { name: 'while it waits', of: KINDS, script: () => [request], reach: read },
  {
    name: 'in the middle of its response head',
    of: KINDS,
    script: () => answer((all) => all.slice(0, 20)),
    reach: async (on) => {
      await read(on);
      await arrived();
    },
  },
  {
    name: 'after its response head',
    of: PLAINLY,
    script: () => answer((all) => all.slice(0, -PLAIN.body.length)),
    reach: async (on) => {
      whole(on);
      await on.client.head();
    },
  },
  {
    name: 'in the middle of its response body',
    of: PLAINLY,
    script: () => answer((all) => all.slice(0, -5)),
    reach: async (on) => {
      whole(on);
      await on.client.inbox.until('hello');
    },
  },
  {
    name: 'in the middle of an early response body',
    of: ['POST'],
    script: () => [head, PLAIN.head, 'hello'],
    reach: async ({ client, asked }) => {
      const [start, body] = asking(asked, '/x');
      client.send(start + body.slice(0, 12));
      await client.inbox.until('hello');
    },
  },
  {
    name: 'while it does not read a large response',
    of: PLAINLY,
    script: () => [request, `HTTP/1.1 200 OK\r\nContent-Length: ${FLOOD.length}\r\n\r\n`, FLOOD],
    reach: async (on) => {
      whole(on);
      await on.client.head();
      await turns(20);
    },
  },
  { name: 'in a tunnel', of: ['upgrade'], script: () => [...switched, untilEnd, halfClose], reach: through },
  {
    name: 'in a tunnel that it floods',
    of: ['upgrade'],
    by: BEHIND_A_FLOOD,
    script: (left) => [...switched, when(left)],
    reach: async (on) => {
      await through(on);
      on.client.send(FLOOD);
      await turns(20);
    },
  },
  {
    name: 'in a tunnel that floods it',
    of: ['upgrade'],
    script: () => [...switched, FLOOD, untilEnd, halfClose],
    reach: async (on) => {
      await through(on);
      await turns(20);
    },
  },
  {
    name: 'in a tunnel that its upstream has half closed',
    of: ['upgrade'],
    script: () => [...switched, halfClose],
    reach: async (on) => {
      await through(on);
      await on.client.over();
    },
  },
  {
    name: 'in a tunnel that it has half closed',
    of: ['upgrade'],
    by: ['RST'],
    // Only a write shows that it is gone.
    script: (left) => [...switched, untilEnd, 'still here', when(left), 'are you?'],
    reach: async (on) => {
      await through(on);
      on.client.end();
      await on.client.inbox.until('still here');
    },
  },
];
