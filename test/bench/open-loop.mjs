/**
 * The open-loop load: requests are sent when due, whatever happened to earlier ones. A latency counts from when
 * its request was due, not from when it was sent, so a stall is counted against all requests that it kept waiting: what
 * a closed loop leaves out is known as coordinated omission.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { Worker } from 'node:worker_threads';
import { smallBody } from './bodies.mjs';

const warmUpMs = 500; // of this client itself, which starts cold like any program
const tickMs = 0.2;
const request = 'GET /small HTTP/1.1\r\nHost: bench\r\nUser-Agent: open loop\r\nAccept: */*\r\n\r\n';

/**
 * Sends small GETs at `rate` a second for some seconds. Resolves with the latencies, and with how late requests were
 * sent through the client's own fault, with a connection free; both in milliseconds and ascending. If the rate is too
 * high, `answeredPerSecond` is what was achieved.
 */
export async function openLoop({ port, rate, seconds, connections = 64 }) {
  const due = arrivals(rate, warmUpMs + seconds * 1000);
  const latencies = new Float64Array(due.length);
  const lateness = new Float64Array(due.length);
  const sockets = await Promise.all(Array.from({ length: connections }, () => opened(port)));
  const idle = [...sockets];
  const startedAt = performance.now();
  let sent = 0;
  let answered = 0;
  let freeSince = 0;

  const send = () => {
    const now = performance.now() - startedAt;
    while (sent < due.length && due[sent] <= now && idle.length > 0) {
      const socket = idle.pop();
      lateness[sent] = now - Math.max(due[sent], freeSince);
      socket.request = sent++;
      socket.write(request);
    }
  };
  const ticker = tick(send);
  try {
    await new Promise((resolve, reject) => {
      for (const socket of sockets) {
        let received = '';
        socket.on('data', (data) => {
          received += data;
          if (!received.endsWith(smallBody)) return;
          if (!received.startsWith('HTTP/1.1 200 ')) reject(new Error(`answered with ${received}`));
          received = '';
          const now = performance.now() - startedAt;
          latencies[socket.request] = now - due[socket.request];
          if (idle.length === 0) freeSince = now;
          idle.push(socket);
          if (++answered === due.length) resolve();
          else send();
        });
        socket.on('error', reject).on('end', () => reject(new Error(`a connection ended after: ${received}`)));
      }
    });
  } finally {
    await ticker.terminate();
    for (const socket of sockets) socket.destroy();
  }
  const answeredPerSecond = due.length / (performance.now() - startedAt) * 1000;
  const first = due.findIndex((at) => at >= warmUpMs);
  return { latencies: latencies.subarray(first).sort(), lateness: lateness.subarray(first).sort(), answeredPerSecond };
}

/** When requests are due: at random, since clients are independent (Poisson), but always the same. */
function arrivals(rate, durationMs) {
  const times = [];
  let state = 1;
  for (let at = 0; at < durationMs;) {
    times.push(at);
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator: any will do
    at += -Math.log(1 - state / 2 ** 32) * 1000 / rate;
  }
  return Float64Array.from(times);
}

/** Calls `act` five times a millisecond, for which timers are too coarse, and a loop that never sleeps too greedy. */
function tick(act) {
  const pending = new Int32Array(new SharedArrayBuffer(4));
  const ticker = new Worker(`
    const { parentPort, workerData } = require('node:worker_threads');
    const sleeping = new Int32Array(new SharedArrayBuffer(4));
    for (;;) {
      Atomics.wait(sleeping, 0, 0, ${tickMs});
      // No second message while the first is unread: they would pile up.
      if (Atomics.exchange(workerData, 0, 1) === 0) parentPort.postMessage(0);
    }`, { eval: true, workerData: pending });
  ticker.on('message', () => {
    Atomics.store(pending, 0, 0);
    act();
  });
  return ticker;
}

async function opened(port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true }).setEncoding('latin1');
  await once(socket, 'connect');
  return socket;
}
