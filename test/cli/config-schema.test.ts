/**
 * The JSON schema that the package publishes says what the parser of configuration files says. Needs `npm run build`,
 * which makes it.
 */
import { Ajv } from 'ajv';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, mock, test } from 'node:test';
import { inspect } from 'node:util';
import { readArguments } from '../../src/cli/arguments.ts';
import { configure } from '../../src/cli/config.ts';
import { ONLY_IN_MODULES } from '../../src/cli/only-in-modules.ts';
import { OPTION_NAMES, parseOptions } from '../../src/options/parse.ts';
import { readTcpOptions } from '../../src/options/tcp.ts';
import { POOL_OPTION_NAMES } from '../../src/options/pool.ts';
import { documents, root } from '../support/documents.ts';

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly definitions?: Readonly<Record<string, Schema>>;
}

type Config = Readonly<Record<string, unknown>>;

const schema = JSON.parse(readFileSync(join(root, 'config.schema.json'), 'utf8')) as Schema;
const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(schema);
const isValid = (config: unknown): boolean => validate(config);

/** What the parser says of a JSON file with this content. */
async function parse(config: Config): Promise<{ readonly problems: readonly string[]; readonly meaning: string }> {
  const problems: string[] = [];
  const { options, ...rest } = await configure(readArguments(['-c', '/c.json'], []), problems, config);
  if (problems.length > 0) return { problems, meaning: '' };
  const settings = rest.tcp ? readTcpOptions(options, problems) : parseOptions(options);
  const parsed = { ...rest, given: undefined, json: undefined, settings };
  const meaning = inspect(parsed, { depth: 9 });
  // That of Node, which is not filled in.
  return { problems, meaning: meaning.replace(', backlog: 511', '') };
}

// Reading the limit of open files takes many milliseconds, and a low one changes the default of maxConnections.
before(() => {
  mock.method(process.report, 'getReport', () => ({}));
});
after(() => {
  mock.restoreAll();
});

const ORIGIN = 'http://127.0.0.1:3001';
const upstreams = [ORIGIN];
const form = (name: string): Schema => (
  schema.definitions?.['ListenConfig']?.anyOf?.find(({ properties }) => properties?.[name] !== undefined) ?? {});

/** Each kind of object in a file: its schema, and a file with one that has `own`, which is valid where `own` is. */
const OBJECTS: Readonly<Record<string, readonly [schema: Schema, file: (own: Config) => Config]>> = {
  file: [schema, (own) => {
    const tcp = own['tcp'] === true || 'helloTimeoutMs' in own;
    return {
      upstreams: tcp ? ['tcp://127.0.0.1:6379'] : upstreams, ...(tcp && { tcp }), ...own, ...('pools' in own && { routes: [{ pool: 'default' }] }),
    };
  }],
  pool: [schema.definitions?.['PoolConfig'] ?? {}, (own) => ({ pools: { web: { upstreams, ...own } } })],
  upstream: [schema.definitions?.['UpstreamOptions'] ?? {}, (own) => ({ upstreams: [{ origin: ORIGIN, ...own }] })],
  healthCheck: [schema.definitions?.['HealthCheckOptions'] ?? {}, (own) => ({ upstreams, healthCheck: own })],
  route: [schema.definitions?.['RouteOptions'] ?? {}, (own) => (
    { upstreams, routes: [{ ...('status' in own && { redirect: '/x' }), ...own }] })],
  limits: [schema.definitions?.['ExchangeLimits'] ?? {}, (own) => ({ upstreams, routes: [{ limits: own }] })],
  answer: [schema.definitions?.['RouteAnswer'] ?? {}, (own) => ({ upstreams, routes: [{ answer: own }] })],
  port: [form('port'), (own) => ({ upstreams, listen: { port: 1, ...own } })],
  path: [form('path'), (own) => ({ upstreams, listen: { path: '/x', ...own } })],
  fd: [form('fd'), (own) => ({ upstreams, listen: { fd: 3, ...own } })],
};

/** The options of a pool refer to those of the same name at the top level. */
function resolved(property: Schema, name: string): Schema {
  if (property.$ref === undefined) return property;
  assert.equal(property.$ref, `#/properties/${name}`);
  return schema.properties?.[name] ?? {};
}

/** Every property of every kind of object. */
const PROPERTIES = Object.entries(OBJECTS).flatMap(([kind, [{ properties = {} }, file]]) => (
  Object.entries(properties).map(([name, property]) => ({
    title: `${kind}: ${name}`, property: resolved(property, name), at: (value: unknown) => file({ [name]: value }),
  }))));

test('is draft-07, which editors know best', () => {
  assert.equal((schema as { readonly $schema?: string }).$schema, 'http://json-schema.org/draft-07/schema#');
  assert.ok(PROPERTIES.length > 100, `${PROPERTIES.length} properties were found`);
});

test('describes each property', () => {
  assert.deepEqual(PROPERTIES.filter(({ property }) => (property.description ?? '').length < 10), []);
});

describe('has exactly the names that the parser knows', () => {
  const isData = (name: string): boolean => !ONLY_IN_MODULES.includes(name);
  const namesIn = (kind: string): readonly string[] => Object.keys(OBJECTS[kind]?.[0].properties ?? {}).sort();

  test('in a file', () => {
    const ofFiles = [
      '$schema', 'listen', 'strategy', 'workers', 'drainTimeout', 'stopDelay', 'reloadTimeout', 'pidFile', 'accessLog',
      'accessLogFormat', 'logFormat', 'admin', 'adminTokenFile', 'adminHosts', 'tls', 'tcp', 'helloTimeoutMs',
      'upstreamTls',
    ];
    assert.deepEqual(namesIn('file'), [...new Set([...OPTION_NAMES, ...ofFiles])].filter(isData).sort());
  });
  test('in a pool', () => {
    assert.deepEqual(namesIn('pool'), [...POOL_OPTION_NAMES, 'upstreamTls'].filter(isData).sort());
  });
  for (const kind of ['upstream', 'healthCheck', 'route', 'limits', 'answer']) {
    test(`in the object ${kind}`, async () => {
      const { problems } = await parse(OBJECTS[kind]?.[1]({ zzzzzz: 1 }) ?? {});
      const [, known = ''] = /zzzzzz: unknown option; known here: (.*)$/m.exec(problems.join('\n')) ?? [];
      assert.deepEqual(namesIn(kind), known.split(', ').sort());
    });
  }
});

describe('refuses unknown names, as the parser does', () => {
  for (const [kind, [, file]] of Object.entries(OBJECTS)) {
    test(kind, async () => {
      for (const name of ['frobnicate', 'weigth', ' port', '']) {
        const config = file({ [name]: 1 });
        assert.ok(!isValid(config), name);
        assert.match((await parse(config)).problems.join('\n'), /: unknown option;/);
      }
    });
  }
});

describe('has the limits of the parser', () => {
  for (const { title, property, at } of PROPERTIES) {
    const parts = [property, ...property.anyOf ?? []].filter(({ type }) => [type].flat().some((one) => (
      one === 'integer' || one === 'number')));
    for (const { type, minimum, maximum, enum: values } of parts) {
      test(title, async () => {
        const isWhole = [type].flat().includes('integer');
        const step = isWhole ? 1 : 1e-6;
        const inside = values ?? [minimum, maximum ?? Number.MAX_SAFE_INTEGER];
        const outside = values === undefined
          ? [(minimum ?? 0) - step, ...(maximum === undefined ? [] : [maximum + step]), ...(isWhole ? [1.5] : [])]
          : [300, 309];
        for (const value of inside) {
          assert.deepEqual((await parse(at(value))).problems, [], String(value));
          assert.ok(isValid(at(value)), String(value));
        }
        for (const value of outside) {
          assert.notDeepEqual((await parse(at(value))).problems, [], String(value));
          assert.ok(!isValid(at(value)), String(value));
        }
      });
    }
  }
});

describe('has the defaults of the parser', () => {
  for (const { title, property: { default: fallback }, at } of PROPERTIES) {
    // Without a name, the pool makes the strategy itself.
    if (fallback === undefined || title.endsWith(': strategy')) continue;
    test(title, async () => {
      const given = await parse(at(fallback));
      assert.deepEqual(given.problems, []);
      assert.equal(given.meaning, (await parse(at(undefined))).meaning);
      assert.ok(isValid(at(fallback)));
    });
  }
  test('each number without one has no limit by default, or is the place itself', () => {
    // Limits of a route have those of the pool.
    const without = PROPERTIES.filter(({ title, property: { type, default: fallback } }) => (
      type === 'integer' && fallback === undefined && !title.startsWith('limits: ')));
    assert.deepEqual([...new Set(without.map(({ title }) => title.replace(/^\w+: /, '')))].sort(), [
      'fd', 'maxBodyBytes', 'maxInFlight', 'maxRequestsPerConnection', 'maxRequestsPerUpstreamConnection', 'port',
      'totalTimeoutMs',
    ]);
  });
});

describe('accepts what the parser accepts, and refuses values of another type', () => {
  const other = [null, true, false, 0, 1, 429, 1.5, -1, 1e15, [], {}, [1], [null], { a: 1 }, [[]]];
  const texts = [
    '', ' ', 'x', '5', '1e1', 'auto', '/x', '../x', 'http://127.0.0.1:1', 'HTTPS://A', 'a.example', '*.a.example',
    'GET', '200-399', '404', '660', '0660', 'unix:x', 'fd:3', '127.0.0.1:80', 'random', 'round-robin',
    'least-connections', 'https://a.example/x/', 'edge-1', 'default',
  ];
  const values = [
    ...other, ...texts, ...texts.map((text) => [text]), ...texts.map((text) => ({ a: text })), { a: null }, { a: {} },
    { a: { upstreams } }, { path: '/x' }, { origin: ORIGIN }, [{ origin: ORIGIN }], [{ pool: 'default' }],
    [{ path: '/x' }], [500], [429, 503], [428], [600], ['GET', 'POST'], { port: 1 },
    [{ port: 1 }, 2, 'fd:3', { path: '/x', mode: '600' }],
  ];
  // The command line may name them.
  const isElsewhere = (title: string, value: unknown): boolean => (
    (title.endsWith(': upstreams') && Array.isArray(value) && value.length === 0) ||
    // Certificates, and where TLS is ended.
    (/^port: (?:tls|redirect)$/.test(title) && value === true));
  for (const { title, at } of PROPERTIES) {
    test(title, async () => {
      let agreed = 0;
      for (const value of values) {
        const config = at(value);
        // Paths of modules would be loaded.
        if (title.endsWith(': strategy') && typeof value === 'string' && value.includes('/')) continue;
        const { problems } = await parse(config);
        const message = `${JSON.stringify(value)}: ${problems.join('; ')} ${validate.errors?.[0]?.message ?? ''}`;
        if (problems.length === 0) assert.ok(isValid(config), message);
        else if (other.includes(value as never) && !isElsewhere(title, value)) assert.ok(!isValid(config), message);
        if ((problems.length === 0) === isValid(config)) agreed++;
      }
      assert.ok(agreed > values.length / 2, `${agreed} of ${values.length}`);
    });
  }
});

test('a strategy is one of our names, or a file', () => {
  const accepts = (strategy: string): boolean => isValid({ upstreams, strategy });
  const names = [
    'random', 'round-robin', 'least-connections', 'power-of-two', 'peak-ewma', 'ring-hash', 'maglev', 'rendezvous',
    'weighted-by-load', './mine.mjs', 'mine.ts',
  ];
  assert.deepEqual(names.filter(accepts), names);
  assert.deepEqual(['rondom', '', 'mine'].filter(accepts), []);
});

test('code is not in it, and the parser says why not', async () => {
  for (const name of ONLY_IN_MODULES) {
    const config = { upstreams, pools: { web: { upstreams, connect: './x.mjs' } }, [name]: './x.mjs' };
    assert.ok(!isValid(config), name);
    const { problems } = await parse(config);
    for (const at of [name, 'pools.web.connect']) {
      assert.ok(problems.includes(`${at}: needs code, which JSON cannot hold; write the file as a module, e.g. ` +
        'equipoise.config.mjs with export default { ... }'), problems.join('\n'));
    }
    assert.equal(problems.length, 2, problems.join('\n'));
  }
});

test('every configuration in the documents is valid', () => {
  const blocks = documents.flatMap((document) => document.blocks).filter(({ language }) => language === 'json');
  assert.ok(blocks.length >= 2);
  for (const { code } of blocks) assert.ok(isValid(JSON.parse(code)), code);
});
