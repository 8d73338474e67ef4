/** What a pick costs in an exchange: among the current candidates, counted and uncounted. */
import { RequestHead } from '../../dist/src/http1/request.js';
import { parseOptions } from '../../dist/src/options/parse.js';
import { UpstreamSet } from '../../dist/src/upstreams/upstream-set.js';

const inFlight = 256; // attempts that have not settled, so that counts differ
const SERVED = { fault: 'none', stage: 'body' };
const settled = { ok: true, status: 200, durationMs: 1, error: undefined };

/** `weights` are 'equal' or 'mixed'. Returns an operation that picks, and one that notifies of a change. */
export function picking(strategy, size, weights) {
  let heard;
  const members = membersOf(size, weights, (candidates) => { heard = candidates; });
  const changed = () => {
    strategy.changed?.(heard);
    return 1;
  };
  changed();
  const contexts = requests();
  const running = Array(inFlight);
  const pick = (i) => {
    const slot = i % inFlight;
    const before = running[slot];
    if (before !== undefined) {
      members.settle(before, SERVED, true, 0, 0);
      strategy.settled?.(before.shown, settled);
    }
    const picked = strategy.pick(members.candidates, contexts[i % contexts.length]);
    const member = members.candidate(picked);
    members.begin(member);
    running[slot] = member;
    return picked.inFlight;
  };
  return { pick, changed };
}

/** Upstreams, kept as the balancer keeps them. */
export function membersOf(size, weights, onChange = () => {}) {
  const upstreams = Array.from({ length: size }, (_, at) => ({
    origin: `http://10.${at >> 16}.${at >> 8 & 255}.${at & 255}`,
    weight: weights === 'equal' ? 1 : 1 + at % 5,
  }));
  const settings = parseOptions({ upstreams }).pools.get('default');
  const world = { events: { heard: () => false }, rng: () => Math.random(), onChange, onRoom: () => {} };
  const members = new UpstreamSet(settings, world);
  members.start(settings.upstreams);
  return members;
}

/** Requests that differ in what strategies may use. */
function requests() {
  const limits = parseOptions({ upstreams: ['http://10.0.0.1'] }).front;
  return Array.from({ length: 64 }, (_, at) => {
    const request = new RequestHead();
    const head = Buffer.from(`GET /items/${at} HTTP/1.1\r\nHost: bench${at % 7}.example\r\nCookie: session=${at}\r\n\r\n`);
    if (request.parse(head, head.length, limits) !== head.length) throw new Error(`refused: ${request.error}`);
    return { attempt: 1, now: 0, note: undefined, respondWith() {}, remoteAddress: `10.1.${at % 3}.${at}`, request };
  });
}
