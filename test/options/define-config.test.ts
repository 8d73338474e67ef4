/**
 * `defineConfig` gives back what it gets; its types know all that a configuration file may hold.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { roundRobin } from '../../strategies/round-robin.ts';
import { type Config, defineConfig } from '../../src/index.ts';

test('the configuration stays as it is', () => {
  const config: Config = { upstreams: ['http://127.0.0.1:1'] };
  assert.equal(defineConfig(config), config);
});

test('its types take all that a file may hold', () => {
  const config = defineConfig<{ readonly user: string }>({
    listen: [8080, '127.0.0.1:80', { port: 1, host: '::1', backlog: 5 }, { path: 'x.sock', mode: '660' }, { fd: 3 }],
    workers: 'auto', drainTimeout: 5, stopDelay: 0.5, reloadTimeout: 60, pidFile: 'x.pid',
    upstreams: ['http://127.0.0.1:1', { origin: 'http://127.0.0.1:2', healthCheck: false }],
    strategy: 'round-robin', healthCheck: false,
    pools: {
      web: { upstreams: [], strategy: './mine.ts', maxInFlight: 5 },
      api: { upstreams: [], strategy: roundRobin() },
    },
    routes: [{ path: '/api/', pool: 'api' }, { pool: 'web', responseHeaders: { server: null } }],
    onRequest: ({ state: { user }, request }) => { request.headers.set('x-user', user); },
    onError: (_, { status }) => new Response('sorry', { status }),
    maxBodyBytes: 1000,
  });
  assert.equal(config.workers, 'auto');
});

test('its types refuse what no file may hold', () => {
  // @ts-expect-error -- an unknown option
  assert.ok(defineConfig({ upstreams: [], backends: [] }));
  // @ts-expect-error -- permissions are octal digits, not a number
  assert.ok(defineConfig({ listen: { path: 'x.sock', mode: 0o660 } }));
  // @ts-expect-error -- a pool without upstreams
  assert.ok(defineConfig({ pools: { web: { strategy: 'random' } } }));
  // @ts-expect-error -- an option of the front in a pool
  assert.ok(defineConfig({ pools: { web: { upstreams: [], via: 'x' } } }));
  // @ts-expect-error -- state is typed
  assert.ok(defineConfig<{ user: string }>({ onRequest: ({ state }) => { state.user = 5; } }));
});
