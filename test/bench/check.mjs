/** Whether a contestant answers rightly: a figure for a proxy that does not do the work is worth nothing. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Agent, get } from 'node:http';
import { mebibyteSha256, smallBody } from './upstreams.mjs';

/** Rejects with what is wrong. */
export async function check(port, origins) {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const fetch = (target) => getFrom(agent, port, target);
  try {
    const small = await fetch('/small');
    assert.equal(small.status, 200, 'status of /small');
    assert.equal(small.body.toString(), smallBody, 'body of /small');
    assert.equal(small.headers['cache-control'], 'public, max-age=60', 'a header field of /small');

    // 60 random picks miss one of three upstreams with a chance of 3 * (2/3)^60, about 1 in 10^10.
    const seen = await Promise.all(Array.from({ length: 60 }, () => fetch('/seen')));
    const [addresses, ports, uses] = [0, 1, 2].map((word) => seen.map(({ body }) => body.toString().split(' ')[word]));
    assert.deepEqual([...new Set(addresses)], ['127.0.0.1'], 'X-Forwarded-For at the upstream');
    const upstreams = origins.map((origin) => new URL(origin).port);
    assert.deepEqual([...new Set(ports)].sort(), upstreams.sort(), 'upstreams used');
    assert.ok(uses.some((use) => Number(use) > 1), 'upstream connections are not reused');

    const large = await fetch('/1m');
    assert.equal(large.status, 200, 'status of /1m');
    assert.equal(createHash('sha256').update(large.body).digest('hex'), mebibyteSha256, 'sha256 of /1m');
    assert.equal((await fetch('/missing')).status, 404, 'status of what is not there');
  } finally {
    agent.destroy();
  }
}

function getFrom(agent, port, path) {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent, timeout: 5000 }, async (response) => {
      try {
        const chunks = await response.toArray(); // rejects where the body is cut short
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) });
      } catch (error) {
        reject(error);
      }
    });
    request.on('timeout', () => request.destroy(new Error(`no answer to ${path} within 5 s`)));
    request.on('error', reject);
  });
}
