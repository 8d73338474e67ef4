import tseslint from 'typescript-eslint';

const BUILTINS = '^node:(?!(http|net|cluster)$)';

/**
 * The rooms of src: which other rooms each may import, and why only those. See "The house" in src/README.md. What every
 * room may import (`options`, `loop`, and the files at the top except the balancer) imports nothing above it.
 */
const FOR_ALL = ['options', 'loop'];
const ROOMS = {
  options: [['loop'], 'options are importable by all, so they import nothing above them'],
  loop: [[], 'the event loop is importable by all, so it imports no room but its own'],
  http1: [[], 'http1 is pure: bytes in, heads and body slices out'],
  streams: [[...FOR_ALL, 'http1'], 'streams may import http1'],
  upstreams: [[...FOR_ALL, 'http1', 'proxy-protocol', 'streams'], 'upstreams may import streams and http1'],
  pools: [[...FOR_ALL, 'http1', 'streams', 'upstreams'], 'pools may import upstreams'],
  exchange: [
    [...FOR_ALL, 'http1', 'proxy-protocol', 'streams', 'upstreams', 'pools'], 'an exchange may import pools'],
  fronts: [[...FOR_ALL, 'http1', 'streams', 'upstreams', 'pools', 'exchange'], 'fronts may import exchanges'],
  tcp: [[...FOR_ALL, 'http1', 'proxy-protocol', 'streams', 'upstreams', 'pools', 'exchange', 'fronts'],
    'layer 4 stands beside the balancer of HTTP, on the same pools'],
  'in-process': [[...FOR_ALL, 'exchange'], 'upstreams within the process stand beside the data path, not in it'],
  tls: [FOR_ALL, 'TLS is a way to connect, which the data path knows by the option alone'],
  cluster: [FOR_ALL, 'the launcher knows nothing of balancing'],
  'proxy-protocol': [FOR_ALL, 'what reads and writes PROXY headers needs none of the engine'],
  observe: [FOR_ALL, 'observers stand on public events, and nothing in the data path imports them'],
  lab: [[...FOR_ALL, 'http1', 'upstreams', 'pools', 'exchange'], 'the lab runs the data path in virtual time, beside it'],
  testing: [FOR_ALL, 'what plugin authors test with needs none of the engine'],
};
/** Files at the top of src: those that every room may import, and those that compose the rooms. */
const TOP = '{channel,errors,events,guard,hooks,meter,strategy,tracing}';
const COMPOSERS = '{balancer,index}';

/** Forbids imports; `why` is the lint message. */
const forbid = (patterns, why) => ({
  'no-restricted-imports': ['error', { patterns: patterns.map((regex) => ({ regex, message: why })) }],
});
const isOneOf = (rooms) => `/(?:${rooms.join('|')})/`;
const every = [...Object.keys(ROOMS), 'cli'];
const roomRules = [
  ...Object.entries(ROOMS).map(([room, [may, why]]) => {
    const others = every.filter((other) => other !== room && !may.includes(other));
    const builtins = room === 'http1' ? ['^node:'] : [];
    return { files: [`src/${room}/**`], rules: forbid([isOneOf(others), '/balancer\\.ts$', ...builtins], why) };
  }),
  { files: [`src/${TOP}.ts`], rules: forbid([isOneOf(every)], 'what all may import imports no room') },
  { files: [`src/${COMPOSERS}.ts`], rules: forbid([isOneOf(['cluster', 'cli', 'testing', 'observe', 'lab', 'tls'])],
    'the balancer knows neither the launcher, nor the command line, nor its observers') },
  { files: ['src/balancer.ts'], rules: forbid([isOneOf(['cluster', 'cli', 'testing', 'observe', 'tcp'])],
    'the balancer knows neither the launcher, nor the command line, its observers or layer 4') },
];

/** The rules above miss files in a new folder, and new files at the top: they must be assigned to a room first. */
const noRoom = {
  files: ['src/**/*.ts'],
  ignores: [...every.map((room) => `src/${room}/**`), `src/${TOP}.ts`, `src/${COMPOSERS}.ts`],
  rules: {
    'no-restricted-syntax': ['error', {
      selector: 'Program',
      message: 'This file is in no room: add its folder to ROOMS in eslint.config.js, with what it may import.',
    }],
  },
};

const TIME_AND_CHANCE = [
  { object: 'Math', property: 'random', message: 'Take randomness as a parameter.' },
  { object: 'Date', property: 'now', message: 'Take time as a parameter.' },
];

export default tseslint.config(
  { ignores: ['dist/', 'coverage/', '**/node_modules/'] },
  { files: ['**/*.{js,mjs,ts}'], linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    // One program for one run takes a fifth less time than the language service that projectService starts.
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      eqeqeq: 'error',
      'no-restricted-properties': ['error', ...TIME_AND_CHANCE],
      'max-len': ['error', { code: 120, ignoreUrls: true }],
    },
  },
  {
    files: ['strategies/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [{ regex: '.', allowTypeImports: true, message: 'A strategy imports types alone.' }],
      }],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/cli/**'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': ['error', ...TIME_AND_CHANCE,
        { object: 'process', property: 'exit', message: 'Only the command line exits.' }],
    },
  },
  {
    // Math.random and the real clock enter only here, as the defaults of parameters.
    files: ['strategies/**/*.ts', 'src/loop/clock.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
  ...roomRules,
  noRoom,
  {
    // Besides the three built-ins, the core imports pure helpers and types.
    files: ['src/**/*.ts'],
    ignores: ['src/cli/**'],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [{
          regex: BUILTINS,
          allowTypeImports: true,
          message: 'The core is built on node:http, node:net and node:cluster.',
        }],
      }],
    },
  },
  {
    // The gate writes reports, and fails as an assertion does; the core does not import the lab.
    files: ['src/lab/gate.ts'],
    rules: { '@typescript-eslint/no-restricted-imports': 'off' },
  },
  {
    // Sharing lookups means starting them ourselves: `net` does not export its lookup function.
    files: ['src/upstreams/names.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [{
          regex: BUILTINS.replace('cluster', 'cluster|dns'),
          allowTypeImports: true,
          message: 'Names are looked up by node:dns, as a pure helper.',
        }],
      }],
    },
  },
  {
    // Tracers subscribe to channels in a registry of Node's: it is in memory, and does nothing by itself.
    files: ['src/exchange/trace.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [{
          regex: BUILTINS.replace('cluster', 'cluster|diagnostics_channel'),
          allowTypeImports: true,
          message: 'Tracers are told by node:diagnostics_channel, as a pure helper.',
        }],
      }],
    },
  },
  {
    // The answer to a WebSocket handshake is a hash (RFC 6455 §4.2.2).
    files: ['src/fronts/connect-handshake.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [{
          regex: BUILTINS.replace('cluster', 'cluster|crypto'),
          allowTypeImports: true,
          message: 'Hashes are made by node:crypto, as a pure helper.',
        }],
      }],
    },
  },
  {
    // A connection within the process is a pair of streams, and only node:stream makes them.
    files: ['src/in-process/memory-socket.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [{
          regex: BUILTINS.replace('cluster', 'cluster|stream'),
          allowTypeImports: true,
          message: 'Streams in memory are made by node:stream, as a pure helper.',
        }],
      }],
    },
  },
  {
    // TLS is an entry point of its own: the core has none.
    files: ['src/tls/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [{
          regex: BUILTINS.replace('cluster', 'cluster|tls'),
          allowTypeImports: true,
          message: 'TLS to upstreams is built on node:tls and node:net.',
        }],
      }],
    },
  },
  {
    // The launcher counts cores, removes sockets that a crash left behind, and follows links to releases.
    files: ['src/cluster/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [{
          regex: BUILTINS.replace('cluster', 'cluster|os|fs|fs/promises|path'),
          allowTypeImports: true,
          message: 'The launcher is built on node:cluster, node:http, node:net and pure helpers.',
        }],
      }],
    },
  },
  {
    // Observers tell of the process, too: what /proc says, how late the event loop is, and which version this is. Traces
    // are told on channels in a registry of Node's.
    files: ['src/observe/**/*.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [{
          regex: BUILTINS.replace('cluster', 'cluster|diagnostics_channel|fs/promises|module|perf_hooks'),
          allowTypeImports: true,
          message: 'Observers are built on the core, and on what tells of the process.',
        }],
      }],
    },
  },
  {
    // The conformance suite is a set of tests for node:test.
    files: ['src/testing/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': 'off',
      '@typescript-eslint/no-restricted-imports': ['error', {
        patterns: [{ regex: '^node:(?!(assert/strict|test)$)', message: 'Tests stand on node:test and node:assert.' }],
      }],
    },
  },
  {
    // node:test awaits the promises that tests return.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: [
        { from: 'package', name: ['describe', 'test', 'it', 'suite'], package: 'node:test' },
      ] }],
    },
  },
);
