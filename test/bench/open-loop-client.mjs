/** A separate process for the open-loop load: `node open-loop-client.mjs <port> <rate> <seconds>`; prints JSON. */
import process from 'node:process';
import { openLoop } from './open-loop.mjs';
import { quantile } from './statistics.mjs';

const [port, rate, seconds] = process.argv.slice(2).map(Number);
const { latencies, lateness, answeredPerSecond } = await openLoop({ port, rate, seconds });
const [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1].map((part) => quantile(latencies, part));
const late = quantile(lateness, 0.99);
const found = { requests: latencies.length, answeredPerSecond, p50, p99, p999, max, late };
process.stdout.write(`${JSON.stringify(found)}\n`);
