/** Whether a contestant answers correctly: a figure for a proxy that does not do the work is worthless. */
import { createHash } from 'node:crypto';
import { Agent, request as send } from 'node:http';
import { chunkedBody, smallBody } from './bodies.mjs';
import { hundredMebibytesSha256, mebibyteSha256 } from './upstreams.mjs';
import { fieldsOf } from './wrk.mjs';

/** Rejects with the fault. `names` refer to the checks below. */
export async function check(port, origins, names) {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const ask = (path, options) => answer({ host: '127.0.0.1', port, path, agent, timeout: 30_000 }, options);
  try {
    for (const name of names) await checks[name](ask, origins);
  } finally {
    agent.destroy();
  }
}

const checks = {
  async basics(ask, origins) {
    const small = await ask('/small');
    equal(small.status, 200, 'status of /small');
    equal(small.body.toString(), smallBody, 'body of /small');
    equal(small.headers['cache-control'], 'public, max-age=60', 'a header field of /small');
    equal((await ask('/missing')).status, 404, 'status of what is not there');

    // 60 random picks miss one of three upstreams with a chance of 3 * (2/3)^60, about 1 in 10^10.
    const seen = await Promise.all(Array.from({ length: 60 }, () => ask('/seen')));
    const [addresses, ports, uses] = [0, 1, 2].map((word) => seen.map(({ body }) => body.toString().split(' ')[word]));
    equal([...new Set(addresses)].join(' '), '127.0.0.1', 'X-Forwarded-For at the upstream');
    const upstreams = origins.map((origin) => new URL(origin).port);
    equal([...new Set(ports)].sort().join(' '), upstreams.sort().join(' '), 'upstreams used');
    equal(uses.some((use) => Number(use) > 1), true, 'upstream connections are reused');
  },
  async fields(ask) {
    const sent = fieldsOf({ fields: 60 }).map((line) => line.split(': '));
    const { status, headers } = await ask('/echo', { headers: Object.fromEntries(sent) });
    equal(status, 200, 'status of a request of 60 fields');
    const arrived = JSON.parse(headers['x-fields']).map((text) => text.toLowerCase());
    for (const [name, value] of sent) {
      equal(arrived[arrived.indexOf(name.toLowerCase()) + 1], value.toLowerCase(), `${name} at the upstream`);
    }
  },
  async post(ask) {
    for (const size of [1024, 65536]) {
      equal((await ask('/post', { body: Buffer.alloc(size) })).status, 200, 'status of a POST');
      const body = Buffer.from(Array.from({ length: size }, (_, at) => at % 251));
      const echoed = await ask('/echo', { body });
      equal(echoed.body.equals(body), true, `a POST of ${size} octets arrives as it was sent`);
    }
  },
  async chunked(ask) {
    const { headers, body } = await ask('/chunked');
    equal(headers['transfer-encoding'], 'chunked', 'the coding of /chunked');
    equal(body.toString(), chunkedBody, 'body of /chunked');
  },
  async close(ask) {
    const { headers, body } = await ask('/small', { headers: { connection: 'close' }, agent: false });
    equal(headers.connection, 'close', 'Connection of an answer to Connection: close');
    equal(body.toString(), smallBody, 'body of /small');
  },
  async '1m'(ask) {
    await large(ask, '/1m', mebibyteSha256);
  },
  async '100m'(ask) {
    await large(ask, '/100m', hundredMebibytesSha256);
  },
};

async function large(ask, path, sha256) {
  const { status, body } = await ask(path);
  equal(status, 200, `status of ${path}`);
  equal(createHash('sha256').update(body).digest('hex'), sha256, `sha256 of ${path}`);
}

function equal(actual, expected, what) {
  if (actual !== expected) throw new Error(`${what}: ${shown(actual)}, not ${shown(expected)}`);
}

function shown(value) {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

function answer(options, { body, ...others } = {}) {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST';
    const request = send({ ...options, method, ...others }, async (response) => {
      try {
        const chunks = await response.toArray(); // rejects where the body is cut short
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) });
      } catch (error) {
        reject(error);
      }
    });
    request.on('timeout', () => request.destroy(new Error(`no answer to ${options.path} within 30 s`)));
    request.on('error', reject).end(body);
  });
}
