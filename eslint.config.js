import tseslint from 'typescript-eslint';

/** Forbids imports; `why` is shown to whoever writes one. */
const forbid = (patterns, why) => ({
  'no-restricted-imports': ['error', { patterns: patterns.map((regex) => ({ regex, message: why })) }],
});

/** The rooms of src, and what each must not reach: see "The house" in the README. */
const BUILTINS = '^node:(?!(http|net|cluster)$)';
const ROOMS = [
  ['src/{channel,errors,events,strategy,strategy-check,options,settings,checks,nearest,clock,origin}.ts', ['/http1/', '/upstreams/', '/exchange/', '/fronts/', '/cluster/', '/cli/'],
    'importable by all, so it imports nothing above it'],
  ['src/http1/**', ['^node:(?!stream$)', '/upstreams/', '/exchange/', '/fronts/', '/cluster/', '/cli/', 'balancer', '/clock'],
    'http1 is pure: bytes in, heads and body slices out'],
  ['src/upstreams/**', ['/exchange/', '/fronts/', '/cluster/', '/cli/', 'balancer'], 'upstreams may import http1 alone'],
  ['src/exchange/**', ['/fronts/', '/cluster/', '/cli/', 'balancer'], 'exchange may import upstreams and http1 alone'],
  ['src/fronts/**', ['/cluster/', '/cli/', 'balancer'], 'fronts may import exchange, upstreams and http1 alone'],
  ['src/{balancer,index}.ts', ['/cluster/', '/cli/'], 'the balancer knows neither the launcher nor the command line'],
  ['src/cluster/**', ['balancer', '/http1/', '/upstreams/', '/exchange/', '/fronts/', '/cli/'],
    'the launcher knows nothing of balancing'],
];

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
    languageOptions: { parserOptions: { projectService: true } },
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
    // A factory's parameter default is where the machine's chance and time come in.
    files: ['strategies/**/*.ts', 'src/clock.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
  ...ROOMS.map(([files, patterns, why]) => ({ files: [files], rules: forbid(patterns, why) })),
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
    // The launcher asks how many cores there are, removes sockets that a crash left behind, and follows links to releases.
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
    // Tests are promises of node:test, which the runner awaits.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': ['error', { allowForKnownSafeCalls: [
        { from: 'package', name: ['describe', 'test', 'it', 'suite'], package: 'node:test' },
      ] }],
    },
  },
);
