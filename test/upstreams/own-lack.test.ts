/**
 * An upstream is not blamed for a lack of local resources (descriptors, ports, memory).
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBalancer } from '../support/balancer.ts';
import { get, post } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { failsWith, failsWithAll } from '../support/streams.ts';
import { echo, startUpstream } from '../support/upstream.ts';

const LACKS = ['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM', 'EAI_MEMORY'];

for (const front of FRONTS) {
  describe(`a connect that fails for lack of local resources, through ${front.name}`, () => {
    for (const code of LACKS) {
      test(`${code}: 503, no other attempt, no verdict on the upstream`, async (t) => {
        const [a, b] = [await startUpstream(t, echo), await startUpstream(t, echo)];
        let lacking = true;
        const under = await startBalancer(t, {
          upstreams: [a, b], front, ejectAfter: 1, retryOn: [503], connect: () => lacking ? failsWith(code) : undefined,
        });
        const events: string[] = [];
        under.balancer.on('ejected', () => events.push('ejected')).on('retried', () => events.push('retried'));
        for (const bytes of [get(), get(), post('/', 'body')]) {
          const answer = await (await under.connect()).exchange(bytes);
          assert.deepEqual(
            [answer.status, answer.head.get('proxy-status'), answer.head.get('retry-after')],
            [503, 'equipoise; error=proxy_internal_error', '1']);
        }
        lacking = false;
        assert.equal((await (await under.connect()).exchange(get('/now'))).text, '/now');
        assert.deepEqual(events, []);
        assert.deepEqual(under.reports, Array.from({ length: 3 }, () => `RESOURCES_EXHAUSTED at ${a.origin}`));
        const views = under.balancer.upstreams.map(({ state, picks, failures }) => [state, picks, failures]);
        assert.deepEqual(views, [['active', 4, 0], ['active', 0, 0]]);
      });
    }

    const several: readonly [codes: string[], code: string][] = [
      [['EMFILE', 'EMFILE'], 'RESOURCES_EXHAUSTED'],
      [['EADDRNOTAVAIL', 'ECONNREFUSED'], 'CONNECT_REFUSED'],
      [['ENETUNREACH', 'ECONNREFUSED'], 'CONNECT_REFUSED'],
      [['ENETUNREACH', 'ETIMEDOUT'], 'CONNECT_TIMEOUT'],
      [['EHOSTUNREACH', 'ENETUNREACH'], 'CONNECT_UNREACHABLE'],
      [['ECONNREFUSED', 'ENFILE'], 'RESOURCES_EXHAUSTED'],
    ];
    for (const [codes, code] of several) {
      test(`of several addresses ${codes.join(' and ')}: ${code}`, async (t) => {
        const under = await startBalancer(t, {
          upstreams: ['http://a.test'], front, connect: () => failsWithAll(codes),
        });
        await (await under.connect()).exchange(get());
        assert.deepEqual(under.reports, [`${code} at http://a.test`]);
      });
    }
  });
}

const POSIX = process.platform === 'win32' ? 'needs ulimit' : false;

test('with descriptors really exhausted, no upstream is blamed, by traffic or probes', { skip: POSIX }, async (t) => {
  const { port } = await startUpstream(t, echo);
  const program = fileURLToPath(new URL('../support/descriptors-program.ts', import.meta.url));
  const limited = ['-c', 'ulimit -n 80 && exec "$0" "$@"', process.execPath, '--import', 'tsx', program,
    String(port)];
  const child = spawn('/bin/sh', limited);
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  let wrong = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    wrong += text;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  assert.deepEqual([code, wrong], [0, '']);
  assert.deepEqual(said.trim().split('\n'), [
    'an address: 503 proxy_internal_error, RESOURCES_EXHAUSTED',
    'a name: 503 proxy_internal_error, RESOURCES_EXHAUSTED',
    'probes: RESOURCES_EXHAUSTED',
    'upstreams: active active, failures: 0 0',
    'afterwards: 200 200',
  ]);
});
