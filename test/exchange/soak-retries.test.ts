import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { random } from '../../strategies/random.ts';
import { type BalancerUnderTest, startBalancer } from '../support/balancer.ts';
import { type Client, get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { Broken, chunked, pattern } from '../support/message.ts';
import { seededRandom, testSeed } from '../../src/testing/random.ts';
import { type Peer, response, type ScriptedUpstream, startUpstream } from '../support/upstream.ts';
import { countTraces } from '../support/traced.ts';
import { turns } from '../support/wait.ts';

const CLIENTS = 12;
const EXCHANGES = 40;
const LARGEST = pattern(40_000);
const METHODS = ['GET', 'HEAD', 'PUT', 'PUT', 'POST', 'DELETE'] as const;

/** What the upstreams do: answers all requests with their bodies, or fails in one of many ways while it is `ill`. */
class Weather {
  ill = true;
  /** The requests that were read completely, by number. */
  readonly read: string[] = [];
  readonly #rng: () => number;

  constructor(rng: () => number) {
    this.#rng = rng;
  }

  readonly script = async (peer: Peer): Promise<void> => {
    for (;;) {
      const head = await peer.head();
      const chance = this.ill ? this.#rng() : 1;
      await turns(Math.floor(this.#rng() * 4));
      if (chance < 0.08) peer.send(response('early', '', '503 Busy'));
      if (chance < 0.12) break;
      const { bytes } = await peer.body(head);
      this.read.push(head.get('x-number') ?? '');
      if (chance < 0.2) peer.send(response('late', '', '503 Busy'));
      else if (chance < 0.24) peer.send('nonsense\r\n\r\n');
      else if (chance >= 0.3) {
        if (chance < 0.4) peer.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
        peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\n\r\n`);
        if (!head.line.startsWith('HEAD ')) peer.send(bytes);
      }
      if (chance < 0.3 && chance >= 0.2) break;
      // An idle connection closes as its next request comes, or before.
      if (chance < 0.5) {
        if (chance < 0.45) await peer.head();
        break;
      }
    }
    peer.socket.end();
  };
}

/** Sends one request in pieces and checks its answer. Returns whether the connection can serve another. */
async function run(client: Client, number: number, rng: () => number): Promise<boolean> {
  const method = METHODS[Math.floor(rng() * METHODS.length)] ?? 'GET';
  const uploads = method === 'PUT' || method === 'POST';
  const body = uploads ? LARGEST.subarray(0, Math.floor(LARGEST.length * rng() ** 3)) : Buffer.alloc(0);
  const inChunks = rng() < 0.5;
  const field = inChunks ? 'Transfer-Encoding: chunked\r\n' : `Content-Length: ${body.length}\r\n`;
  const bytes = Buffer.concat([
    Buffer.from(get('/', `X-Number: ${number}-${method}\r\n${uploads ? field : ''}`, method)),
    uploads && inChunks ? chunked(body, 1_000) : body,
  ]);
  const leaves = rng() < 0.1;
  const end = leaves ? Math.floor(bytes.length * rng()) : bytes.length;
  const size = Math.ceil(end / (1 + Math.floor(rng() * 4))) || 1;
  for (let at = 0; at < end; at += size) {
    client.send(bytes.subarray(at, Math.min(end, at + size)));
    await turns(1);
  }
  if (leaves) {
    client.reset();
    return false;
  }
  try {
    const answer = await client.response(method);
    assert.ok([200, 502, 503, 504].includes(answer.status), String(answer.status));
    if (answer.status === 200) assert.ok(answer.bytes.equals(body), `the answer to ${number} is not what was sent`);
    return answer.head.get('connection') !== 'close';
  } catch (cause) {
    if (!(cause instanceof Broken)) throw cause;
    return false;
  }
}

/** Lets time pass until stopped. */
async function pass(under: BalancerUnderTest, enough: AbortSignal): Promise<void> {
  while (!enough.aborted) {
    await under.advance(5);
    await turns(5);
  }
}

async function soak(t: TestContext, front: (typeof FRONTS)[number], seed: number): Promise<void> {
  const rng = seededRandom(seed);
  const weather = new Weather(rng);
  const upstreams: ScriptedUpstream[] = [];
  for (let i = 0; i < 4; i++) upstreams.push(await startUpstream(t, weather.script));
  const under: BalancerUnderTest = await startBalancer(t, {
    upstreams: upstreams.map(({ origin }) => ({ origin, maxInFlight: 3 })),
    front, strategy: random({ rng }), rng, retryOn: [502, 503], maxReplayBytes: 10_000, retryBudgetPercent: 100,
    maxInFlight: 9, maxQueued: 6, queueTimeoutMs: 500, ejectAfter: 2, ejectMs: 100, maxEjectMs: 1_000,
    slowStartMs: 1_000, totalTimeoutMs: 30_000,
  });
  const counts = { queued: 0, ejected: 0, readmitted: 0, retried: 0, refused: 0 };
  for (const name of Object.keys(counts) as (keyof typeof counts)[]) {
    under.balancer.on(name, () => counts[name]++);
  }
  const day = new AbortController();
  const passing = pass(under, day.signal);
  await Promise.all(Array.from({ length: CLIENTS }, async (_, lane) => {
    let client = await under.connect();
    for (let i = 0; i < EXCHANGES; i++) {
      if (await run(client, i * CLIENTS + lane, rng)) continue;
      client.destroy();
      client = await under.connect();
    }
    client.destroy();
  }));
  day.abort();
  await passing;
  await under.settled(under.picks.filter(({ origin }) => origin !== undefined).length);
  const shown = JSON.stringify(counts);
  assert.ok(Object.values(counts).every((count) => count > 0), `all of it happens: ${shown}`);
  for (const number of new Set(weather.read.filter((each) => each.endsWith('-POST')))) {
    assert.equal(weather.read.filter((other) => other === number).length, 1, `${number} ran twice`);
  }

  // Once the upstreams are healthy again, everything recovers: nothing was lost or left over.
  weather.ill = false;
  for (let i = 0; i < 20; i++) {
    await under.advance(1_000);
    const clients = [];
    for (let j = 0; j < 9; j++) clients.push(await under.connect());
    const before = under.outcomes.length;
    const statuses = await Promise.all(clients.map(async (client) => (await client.exchange(get())).status));
    assert.deepEqual(statuses, clients.map(() => 200), shown);
    for (const client of clients) client.destroy();
    await under.settled(before + 9);
  }
  for (const { state, weight, inFlight } of under.balancer.upstreams) {
    assert.deepEqual([state, weight, inFlight], ['active', 1, 0], shown);
  }
}

const seed = testSeed();

for (const front of FRONTS) {
  test(`whatever fails, ${front.name} keeps its accounts and recovers (EQUIPOISE_SEED=${seed})`, async (t) => {
    if (seed % 2 === 1) countTraces(t);
    await soak(t, front, seed);
  });
}
