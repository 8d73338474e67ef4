/** What can be measured, by name. A scenario runs once; its results are JSON, which its tables show. */
import { idle } from './idle.mjs';
import { latency } from './latency.mjs';
import { load, workers } from './load.mjs';
import { membership } from './membership.mjs';
import { picks } from './picks.mjs';
import { soak } from './soak.mjs';

const small = '/small';

export const scenarios = {
  'small-1': load('keep-alive GETs of 100 bytes', { path: small, connections: 1 }),
  small: load('keep-alive GETs of 100 bytes', { path: small, connections: 64 }),
  'small-512': load('keep-alive GETs of 100 bytes', { path: small, connections: 512 }),
  'fields-20': load('GETs with 20 header fields', { path: small, connections: 64, fields: 20 }, { checks: ['fields'] }),
  'fields-60': load('GETs with 60 header fields', { path: small, connections: 64, fields: 60 }, { checks: ['fields'] }),
  'post-1k': load('POSTs of 1 KiB', { path: '/post', connections: 64, bodyBytes: 1024 }, { checks: ['post'] }),
  'post-64k': load('POSTs of 64 KiB', { path: '/post', connections: 64, bodyBytes: 65536 }, { checks: ['post'] }),
  chunked: load('GETs of 16 chunks of 1 KiB', { path: '/chunked', connections: 64 }, { checks: ['chunked'] }),
  '1m': load('GETs of 1 MiB', { path: '/1m', connections: 16 }, { checks: ['1m'], perMiB: true }),
  '100m': load('GETs of 100 MiB', { path: '/100m', connections: 2 },
    { checks: ['100m'], perMiB: true, leastSeconds: 4 }),
  close: load('a connection for each GET', { path: small, connections: 64, close: true }, { checks: ['close'] }),
  latency,
  workers,
  idle,
  picks,
  membership,
  soak,
};

/** What is measured by default. */
export const usual = ['small', 'fields-60', 'post-64k', '1m', 'close', 'latency', 'idle', 'picks', 'membership'];
