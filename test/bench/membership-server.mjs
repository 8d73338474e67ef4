/**
 * The balancer of membership.mjs: `node membership-server.mjs <upstreams> <port> <real origin>...`. On 'quiet' or
 * 'changes', it measures for that many seconds how long its event loop stalls, and sends the result.
 */
import { connect } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';
import { createBalancer } from '../../dist/src/index.js';

const [, , count, port, ...origins] = process.argv;
const size = Number(count);
const everyMs = 50;
const resolutionMs = 1;

// There are not ten thousand servers: each origin is connected to one of the real ones.
const real = origins.map((origin) => ({ host: '127.0.0.1', port: Number(new URL(origin).port), noDelay: true }));
let connects = 0;
/** The intended members, and the number of the next one: kept apart, to take none of the balancer's time. */
let there = names(0, size);
let fresh = size;
const balancer = createBalancer({
  upstreams: there,
  connect: () => connect(real[connects++ % real.length]),
  upstreamIdleTimeoutMs: 1000, // so that connections to so many do not add up to more than may be open
});
await balancer.listen({ port: Number(port), host: '127.0.0.1' });

process.on('message', ({ kind, seconds }) => {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  const calls = { add: [], remove: [], update: [] };
  const timer = kind === 'changes' ? setInterval(change, everyMs) : undefined;
  delay.enable();
  setTimeout(() => {
    delay.disable();
    clearInterval(timer);
    const longest = Object.fromEntries(Object.entries(calls).map(([name, times]) => [name, Math.max(0, ...times)]));
    // The histogram counts from one reading to the next, which should be `resolutionMs` apart.
    process.send({ stallMs: Math.max(0, delay.max / 1e6 - resolutionMs), changes: calls.add.length * 3, ...longest });
  }, seconds * 1000);

  /** One is added, one is removed, and then an update replaces a hundredth of all. */
  function change() {
    const [added, ...news] = names(fresh, fresh + 1 + Math.ceil(size / 100));
    fresh += 1 + news.length;
    const [removed] = there;
    there = [...there.slice(1 + news.length), added, ...news];
    timed('add', () => balancer.add(added));
    timed('remove', () => void balancer.remove(removed));
    timed('update', () => void balancer.update(there));
  }

  function timed(name, act) {
    const startedAt = performance.now();
    act();
    calls[name].push(performance.now() - startedAt);
  }
});

function names(from, to) {
  return Array.from({ length: to - from }, (_, at) => {
    const number = from + at;
    return `http://10.${number >> 16}.${number >> 8 & 255}.${number & 255}`;
  });
}
