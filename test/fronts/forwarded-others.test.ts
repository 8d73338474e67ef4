import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { FRONTS } from '../support/fronts.ts';
import { echo, startUpstream } from '../support/upstream.ts';

const OTHERS = [
  'Port', 'Prefix', 'Ssl', 'Server', 'Uri', 'Method', 'Scheme', 'Protocol', 'Path', 'By', 'Client-Cert', 'User', 'F',
  'Hosts', 'Proton', '',
].map((name) => `X-Forwarded-${name}`);
const LIKE_OURS = ['For', 'Proto', 'Host'].map((name) => `X-Forwarded-${name}`);

function lines(names: readonly string[]): string {
  return names.map((name) => `${name}: forged\r\n`).join('');
}

const underscored = (names: readonly string[]): string[] => [
  ...names.map((name) => name.replaceAll('-', '_')), ...names.map((name) => name.replace('-', '_')),
];

for (const front of FRONTS) {
  describe(`X-Forwarded-* through ${front.name}`, () => {
    for (const xForwarded of [true, false]) {
      test(`of an untrusted downstream: none passes, with xForwarded: ${xForwarded}`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const under = await startBalancer(t, { upstreams: [upstream], front, xForwarded, maxFields: 200 });
        const names = [...OTHERS, ...LIKE_OURS];
        const all = [...names, ...names.map((name) => name.toUpperCase()), ...underscored(names)];
        const client = await under.connect();
        const kept = 'X-Forward: 1\r\nX-Forwarder-Port: 2\r\nForwarded-Port: 3\r\n';
        assert.equal((await client.exchange(get('/', lines(all) + kept))).text, '/');
        const got = upstream.requests[0]?.head.fields ?? [];
        assert.deepEqual(got.filter(([, value]) => value === 'forged'), []);
        assert.deepEqual(got.filter(([name]) => /forward/i.test(name) && !/^x-forwarded-/i.test(name)), [
          ['X-Forward', '1'], ['X-Forwarder-Port', '2'], ['Forwarded-Port', '3'],
        ]);
        assert.deepEqual(got.filter(([name]) => /^x.forwarded./i.test(name)), xForwarded ? [
          ['X-Forwarded-For', '127.0.0.1'], ['X-Forwarded-Proto', 'http'], ['X-Forwarded-Host', 'example.test'],
        ] : []);
      });

      test(`in trailers: none passes, with xForwarded: ${xForwarded}`, async (t) => {
        const upstream = await startUpstream(t, echo);
        const trustForwarded = true;
        const under = await startBalancer(t, { upstreams: [upstream], front, xForwarded, trustForwarded });
        const names = [...OTHERS.slice(0, 8), ...LIKE_OURS];
        const trailers = `${lines(names)}${lines(underscored(names))}X-Sum: 1\r\n`;
        const head = get('/', 'Transfer-Encoding: chunked\r\n', 'POST');
        await (await under.connect()).exchange(`${head}2\r\nhi\r\n0\r\n${trailers}\r\n`);
        assert.equal(upstream.requests[0]?.body.trailers, 'X-Sum: 1\r\n');
      });
    }

    test('of a trusted downstream: the others pass as they came', async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, { upstreams: [upstream], front, trustForwarded: true });
      const fields = 'X-Forwarded-Port: 8443\r\nx-forwarded-Prefix: /a\r\nX-Forwarded-For: 10.0.0.1\r\n'
        + 'X-Forwarded-Port: 2\r\nX-Forwarded-Ssl: on\r\nX_Forwarded_For: 6.6.6.6\r\nConnection: x-forwarded-ssl\r\n';
      await (await under.connect()).exchange(get('/', fields));
      const got = upstream.requests[0]?.head.fields ?? [];
      assert.deepEqual(got.filter(([name]) => /^x.forwarded./i.test(name)), [
        ['X-Forwarded-Port', '8443'], ['x-forwarded-Prefix', '/a'], ['X-Forwarded-Port', '2'],
        ['X-Forwarded-For', '10.0.0.1, 127.0.0.1'], ['X-Forwarded-Proto', 'http'],
        ['X-Forwarded-Host', 'example.test'],
      ]);
    });

    test('of a trusted downstream, with xForwarded: false: as they came, and nothing of ours', async (t) => {
      const upstream = await startUpstream(t, echo);
      const options = { upstreams: [upstream], front, trustForwarded: true, xForwarded: false };
      const under = await startBalancer(t, options);
      const client = await under.connect();
      const fields = 'X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.test\r\n';
      await client.exchange(get('/', fields));
      await client.exchange(get('/'));
      const seen = upstream.requests.map(({ head }) => head.fields.filter(([name]) => /^x-forwarded-/i.test(name)));
      assert.deepEqual(seen, [
        [['X-Forwarded-For', '10.0.0.1'], ['X-Forwarded-Proto', 'https'], ['X-Forwarded-Host', 'a.test']], [],
      ]);
    });
  });
}
