/** What picks.mjs measures, as JSON: `node picks-program.mjs <upstreams>...` */
import process from 'node:process';
import { RequestHead } from '../../dist/src/http1/request.js';
import { parseOptions } from '../../dist/src/settings.js';
import { Members } from '../../dist/src/upstreams/members.js';
import { shippedStrategies } from './shipped-strategies.mjs';
import { nanoseconds } from './timing.mjs';

const batches = 7;
const inFlight = 256; // attempts that have not settled, so that counts differ
const rng = () => Math.random();

const sizes = process.argv.slice(2).map(Number);
const { found, others } = await shippedStrategies();
const costs = [];
for (const { name, make } of found) {
  for (const size of sizes) {
    for (const weights of ['equal', 'mixed']) costs.push({ strategy: name, size, weights, ...measure(make(), size, weights) });
  }
}
process.stdout.write(JSON.stringify({ costs, others }));

/** A pick as an exchange has it: among the candidates as they stand, counted and uncounted. */
function measure(strategy, size, weights) {
  const upstreams = Array.from({ length: size }, (_, at) => ({
    origin: `http://10.${at >> 16}.${at >> 8 & 255}.${at & 255}`,
    weight: weights === 'equal' ? 1 : 1 + at % 5,
  }));
  const settings = parseOptions({ upstreams });
  let heard;
  const world = {
    events: { heard: () => false },
    rng,
    onChange: (candidates) => { heard = candidates; },
    onRoom: () => {},
  };
  const members = new Members(settings, world);
  members.start(settings.upstreams.map((upstream) => ({ ...upstream, connect: undefined })));
  strategy.changed?.(heard);
  const contexts = requests(settings);
  const running = Array(inFlight);
  const pick = nanoseconds((i) => {
    const slot = i % inFlight;
    const before = running[slot];
    if (before !== undefined) {
      members.settle(before, true, 'nothing', 0, 0);
      strategy.settled?.(before, outcome);
    }
    const member = strategy.pick(members.candidates, contexts[i % contexts.length]);
    members.begin(member);
    running[slot] = member;
    return member.inFlight;
  }, batches);
  const changed = nanoseconds(() => {
    strategy.changed?.(heard);
    return 1;
  }, batches);
  return { pick, changed };
}

const outcome = { ok: true, status: 200, durationMs: 1, error: undefined };

/** Requests that differ in what strategies may look at. */
function requests(limits) {
  return Array.from({ length: 64 }, (_, at) => {
    const request = new RequestHead();
    const head = `GET /items/${at} HTTP/1.1\r\nHost: bench${at % 7}.example\r\nCookie: session=${at}\r\n\r\n`;
    if (request.parse(head, limits) !== head.length) throw new Error(`refused: ${request.error}`);
    return { attempt: 1, remoteAddress: `10.1.${at % 3}.${at}`, request };
  });
}
