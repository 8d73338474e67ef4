/** New connections, for servers that answer with the number of their worker: each starts with one request. */
import { connect } from 'node:net';

const head = 'GET / HTTP/1.1\r\nHost: bench\r\n';
const timeoutMs = 10_000;

/** One request on a new connection. Resolves with the worker that answered; rejects without an answer. */
export function ask(port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let received = '';
    socket.setTimeout(timeoutMs, () => socket.destroy(Object.assign(new Error('no answer'), { code: 'TIMEOUT' })));
    socket.on('data', (data) => { received += data; }).on('error', reject).on('end', () => {
      const worker = workerIn(received);
      if (worker === undefined) reject(Object.assign(new Error(`it ended after: ${received}`), { code: 'ENDED' }));
      else resolve(worker);
    });
    socket.write(`${head}Connection: close\r\n\r\n`);
  });
}

/** The same, on one that stays open. Resolves with it, and with the worker that answered. */
export function open(port) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('error', reject).once('data', (data) => resolve({ socket, worker: workerIn(String(data)) }));
    socket.write(`${head}\r\n`);
  });
}

/** Sends requests, `atOnce` at a time, as long as `more()` says so. Resolves with the answers of each worker. */
export async function askOn(port, atOnce, more) {
  const answers = new Map();
  const failures = new Map();
  const loop = async () => {
    while (more()) {
      try {
        count(answers, await ask(port));
      } catch (error) {
        count(failures, error.code ?? error.message);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, loop));
  return { answers, failures };
}

export function count(counts, key) {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function workerIn(response) {
  return /^HTTP\/1\.1 200 .*\b(\d+)\s*$/s.exec(response)?.[1];
}
