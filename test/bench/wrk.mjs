/** The closed-loop load: wrk, which sends the next request on a connection as soon as the last is answered. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { directory, start } from './processes.mjs';

// wrk sends only Host; these make a request about as long as those of real clients.
const clientFields = [
  'User-Agent: wrk (equipoise bench)', 'Accept: */*', 'Accept-Encoding: gzip, br', 'Accept-Language: en',
];

/**
 * Loads a server for some seconds. `request` has a path and a number of connections, and may have `bodyBytes` (then it
 * is a POST), `fields` (how many in all, Host included), `close` (a connection for each request) and `scheme`.
 */
export async function wrk(port, request, seconds, cpu) {
  const { path: target, connections, scheme = 'http' } = request;
  const child = start(cpu, [
    'wrk', '-t', '1', '-c', String(connections), '-d', `${seconds}s`, '--timeout', '30s', '-s', script(request),
    ...fieldsOf(request).flatMap((field) => ['-H', field]), `${scheme}://127.0.0.1:${port}${target}`,
  ], ['ignore', 'pipe', 'pipe']);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => { output += data; });
  const [code] = await once(child, 'close');
  const summary = /^summary (.*)$/m.exec(output)?.[1];
  if (code !== 0 || summary === undefined) throw new Error(`wrk failed:\n${output}`);
  const [requests, bytes, microseconds, connect, read, write, timeout, status] = summary.split(' ').map(Number);
  const errors = Object.entries({ connect, read, write, timeout, status }).filter(([, count]) => count > 0);
  if (errors.length > 0) {
    const counts = errors.map(([kind, count]) => `${count} ${kind}`).join(', ');
    throw new Error(`wrk: of ${requests} requests, ${counts} errors`);
  }
  if (requests === 0) throw new Error('wrk: no request was answered');
  return { requests, bytes, seconds: microseconds / 1e6 };
}

/** The field lines beside Host. Fillers are about as long as cookies and tracing fields are. */
export function fieldsOf({ fields = 0, close = false }) {
  const lines = close ? [...clientFields, 'Connection: close'] : [...clientFields];
  while (lines.length < fields - 1) lines.push(`X-Field-${lines.length + 1}: ${fieldValue}`);
  return lines;
}

export const fieldValue = 'some 32 octets of a field value.';

/** wrk's script for a request: its body, and exact numbers at the end. Written once for each size. */
function script({ bodyBytes = 0 }) {
  const file = path.join(directory, `wrk-${bodyBytes}.lua`);
  writeFileSync(file, `
${bodyBytes === 0 ? '' : `wrk.method = "POST"; wrk.body = string.rep("x", ${bodyBytes})`}
function done(summary)
  local e = summary.errors
  io.write(string.format("summary %d %d %d %d %d %d %d %d\\n", summary.requests, summary.bytes, summary.duration,
    e.connect, e.read, e.write, e.timeout, e.status))
end
`);
  return file;
}
