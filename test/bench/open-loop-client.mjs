/** A process of its own for the open-loop load: `node open-loop-client.mjs <port> <rate> <seconds>`; prints JSON. */
import process from 'node:process';
import { openLoop } from './open-loop.mjs';
import { quantile } from './statistics.mjs';

const [port, rate, seconds] = process.argv.slice(2).map(Number);
const { latencies, lateness } = await openLoop({ port, rate, seconds });
const [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1].map((part) => quantile(latencies, part));
process.stdout.write(`${JSON.stringify({ requests: latencies.length, p50, p99, p999, max, late: quantile(lateness, 0.99) })}\n`);
