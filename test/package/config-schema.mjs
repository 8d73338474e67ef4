/**
 * The JSON schema of configuration files (draft-07, which editors know best), made from the types in
 * `src/options/define-config.ts`, their comments, and the tables of numbers that the parser goes by. `ship.mjs` writes
 * it at the end of the build; `test/options/config-schema.test.ts` compares it with the parser.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { MAX_INTEGER } from '../../dist/src/options/checks.js';
import { FRONT_NUMBERS } from '../../dist/src/options/front.js';
import { HEALTH_CHECK_NUMBERS } from '../../dist/src/options/health-check.js';
import { LIMIT_NUMBERS } from '../../dist/src/options/limits.js';
import { POOL_NUMBERS } from '../../dist/src/options/pool.js';
import { STRATEGY_FILE } from '../../dist/src/cli/strategies.js';
import { TLS_NUMBERS } from '../../dist/src/cli/tls/settings.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const TYPES = join(root, 'src/options/define-config.ts');

/** Without defaults: those of the options of the pool stand in. */
const withoutDefaults = (table) => Object.fromEntries(Object.entries(table).map(([name, { min, max }]) => (
  [name, { min, max }])));

/** Options that are numbers, by the interface that declares them. */
const NUMBERS = {
  PoolOptions: POOL_NUMBERS,
  FrontOptions: FRONT_NUMBERS,
  HealthCheckOptions: HEALTH_CHECK_NUMBERS,
  ExchangeLimits: withoutDefaults(LIMIT_NUMBERS),
  TlsConfig: TLS_NUMBERS,
};

const ORIGIN = '^\\s*([hH][tT][tT][pP][sS]?|[tT][cC][pP]|[uU][nN][iI][xX]):';
const PATH = { pattern: '^/' };
const PORT = { type: 'integer', minimum: 0, maximum: 65_535 };
const BACKLOG = { type: 'integer', minimum: 0, maximum: MAX_INTEGER };
const STATUSES = { items: { anyOf: [{ type: 'integer', minimum: 500, maximum: 599 }, { enum: [429] }] } };
const VERSION = { anyOf: [{ enum: ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] }] };
const DAY = 86_400;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const secondsUpTo = (maximum) => ({ type: ['number', 'string'], minimum: 0, maximum, pattern: '\\d' });

/** A list of addresses and subnets. */
const ADDRESSES = { type: 'array', items: { type: 'string', pattern: '^unix$|^[0-9A-Fa-f:.]+(/\\d{1,3})?$' } };

/** What types cannot say. It takes the place of what the type gives, keyword by keyword. */
const LIMITS = {
  'Config.listen': { anyOf: [
    { $ref: '#/definitions/ListenConfig' },
    { type: 'array', minItems: 1, items: { $ref: '#/definitions/ListenConfig' } },
  ] },
  'Config.workers': { anyOf: [
    { type: 'integer', minimum: 1, maximum: 1_024 }, { enum: ['auto'] }, { type: 'string', pattern: '^\\d+$' },
  ] },
  'Config.helloTimeoutMs': { type: 'integer', minimum: 1, maximum: MAX_INTEGER },
  'Config.drainTimeout': secondsUpTo(DAY),
  'Config.stopDelay': secondsUpTo(DAY),
  'Config.reloadTimeout': secondsUpTo(30 * DAY),
  'Config.pidFile': { minLength: 1 },
  'Config.accessLog': { minLength: 1 },
  'Config.pools': { minProperties: 1, propertyNames: { pattern: '^[A-Za-z0-9][\\w.-]{0,62}$' } },
  'TlsConfig.certificates': { minItems: 1 },
  'TlsConfig.minVersion': VERSION,
  'TlsConfig.maxVersion': VERSION,
  'TlsConfig.ciphers': { minLength: 1 },
  'TlsConfig.clientCa': { anyOf: [
    { type: 'string', minLength: 1 }, { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } },
  ] },
  'TlsPairConfig.cert': { minLength: 1 },
  'TlsPairConfig.key': { minLength: 1 },
  'Config.proxyProtocol': { anyOf: [
    { enum: [1, 2] }, ADDRESSES,
    {
      type: 'object', required: ['trusted'], additionalProperties: false,
      properties: {
        trusted: ADDRESSES,
        timeoutMs: { type: 'integer', minimum: 1, maximum: MAX_INTEGER },
        send: { enum: [1, 2] },
      },
    },
  ] },
  'FrontOptions.trustForwarded': { anyOf: [{ type: 'boolean' }, ADDRESSES] },
  'ListenConfig.port': PORT,
  'ListenConfig.host': { minLength: 1 },
  'ListenConfig.path': { minLength: 1 },
  'ListenConfig.mode': { pattern: '^0?[0-7]{3}$' },
  'ListenConfig.backlog': BACKLOG,
  'ListenConfig.fd': { type: 'integer', minimum: 0, maximum: MAX_INTEGER },
  'UpstreamOptions.origin': { pattern: ORIGIN },
  'UpstreamOptions.weight': { minimum: 0.001, maximum: 1_000_000 },
  'UpstreamOptions.maxInFlight': { type: 'integer', minimum: 1 },
  'PoolOptions.upstreams': { items: { anyOf: [
    { type: 'string', pattern: ORIGIN }, { $ref: '#/definitions/UpstreamOptions' },
  ] } },
  'UpstreamTlsConfig.ca': { anyOf: [
    { type: 'string', minLength: 1 }, { type: 'array', items: { type: 'string', minLength: 1 } },
  ] },
  'UpstreamTlsConfig.cert': { minLength: 1 },
  'UpstreamTlsConfig.key': { minLength: 1 },
  'UpstreamTlsConfig.servername': { pattern: '^[\\w.-]*$' },
  'PoolOptions.retryOn': STATUSES,
  'ExchangeLimits.retryOn': STATUSES,
  'HealthCheckOptions.path': PATH,
  'HealthCheckOptions.host': { pattern: '^[\\w.:[\\]-]+$' },
  'HealthCheckOptions.status': {
    type: ['integer', 'string'], minimum: 100, maximum: 599, pattern: '^[1-5]\\d\\d(-[1-5]\\d\\d)?$',
  },
  'RouteOptions.path': PATH,
  'RouteOptions.stripPrefix': PATH,
  'RouteOptions.rewrite': PATH,
  'RouteOptions.redirect': { pattern: '^(/|[hH][tT][tT][pP][sS]?://)' },
  'RouteOptions.status': { type: 'integer', enum: [301, 302, 303, 307, 308] },
  'RouteOptions.methods': { minItems: 1, items: { anyOf: [
    { enum: METHODS }, { type: 'string', pattern: '^[^a-z]+$' },
  ] } },
  'RouteAnswer.status': { type: 'integer', minimum: 200, maximum: 599 },
};

/** The schema, as an object. */
export function configSchema() {
  const program = ts.createProgram([TYPES], compilerOptions());
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(TYPES));
  const config = checker.getExportsOfModule(module).find(({ name }) => name === 'Config');
  const maker = new Maker(checker);
  const { properties, ...rest } = maker.object(checker.getDeclaredTypeOfSymbol(config));
  // The options of a pool are the same at the top level: said once, they are a third less to download.
  const { properties: ofPools } = maker.definitions.PoolConfig;
  for (const [name, schema] of Object.entries(ofPools)) {
    if (JSON.stringify(schema) === JSON.stringify(properties[name])) ofPools[name] = { $ref: `#/properties/${name}` };
  }
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'A configuration file of equipoise',
    ...rest,
    properties: { $schema: { description: 'The JSON schema of this file, for editors.' }, ...properties },
    definitions: maker.definitions,
  };
}

function compilerOptions() {
  const path = join(root, 'tsconfig.json');
  const { config } = ts.parseConfigFileTextToJson(path, readFileSync(path, 'utf8'));
  // Without Node's types, which only functions have here: they are most of what the compiler would read.
  return { ...ts.convertCompilerOptionsFromJson(config.compilerOptions, dirname(path)).options, types: [] };
}

class Maker {
  /** Of the types that are referred to by their names. */
  definitions = {};
  #checker;

  constructor(checker) {
    this.#checker = checker;
  }

  /** An object with known properties; undefined if JSON cannot express one that it must have. */
  object(type) {
    const properties = {};
    const required = [];
    for (const property of this.#checker.getPropertiesOfType(type)) {
      const optional = (property.flags & ts.SymbolFlags.Optional) !== 0;
      const schema = this.#property(property);
      if (schema !== undefined) properties[property.name] = schema;
      else if (!optional) return undefined;
      if (!optional) required.push(property.name);
    }
    return { type: 'object', properties, ...(required.length > 0 && { required }), additionalProperties: false };
  }

  #property(property) {
    const [declaration] = property.declarations;
    const owner = ownerOf(declaration);
    const type = this.#checker.getNonNullableType(this.#checker.getTypeOfSymbol(property));
    const schema = this.#schema(type);
    if (schema === undefined) return undefined;
    const range = NUMBERS[owner]?.[property.name];
    const limits = range === undefined ? LIMITS[`${owner}.${property.name}`] : {
      type: 'integer', minimum: range.min, maximum: range.max ?? MAX_INTEGER,
    };
    const description = ts.displayPartsToString(property.getDocumentationComment(this.#checker)).replace(/\s+/g, ' ');
    const fallback = range?.fallback ?? defaultIn(description);
    // Draft-07 ignores what stands beside a $ref.
    const { $ref, ...own } = schema;
    return {
      description,
      ...(fallback !== undefined && fallback !== Infinity && { default: fallback }),
      ...(limits?.anyOf === undefined && ($ref === undefined ? own : { allOf: [{ $ref }] })),
      ...limits,
    };
  }

  /** Undefined for what JSON cannot express: functions, and objects that must have some. */
  #schema(type) {
    if (type.isUnion()) return this.#union(type);
    if (type.isIntersection()) return { type: 'string' };
    if (type.isStringLiteral() || type.isNumberLiteral()) return { enum: [type.value] };
    if (type.flags & ts.TypeFlags.String) return { type: 'string' };
    if (type.flags & ts.TypeFlags.Number) return { type: 'number' };
    if (type.flags & ts.TypeFlags.Null) return { type: 'null' };
    if (type.flags & ts.TypeFlags.BooleanLiteral) return { enum: [type.intrinsicName === 'true'] };
    if (type.getCallSignatures().length > 0) return undefined;
    if (this.#checker.isArrayType(type)) {
      return { type: 'array', items: this.#schema(this.#checker.getTypeArguments(type)[0]) };
    }
    const entry = type.getStringIndexType();
    if (entry !== undefined) return { type: 'object', additionalProperties: this.#schema(entry) };
    return type.symbol.flags & ts.SymbolFlags.Interface
      ? this.#named(type.symbol.name, () => this.object(type)) : this.object(type);
  }

  #union(type) {
    const make = () => {
      const parts = this.#parts(type);
      if (parts.length < 2) return parts[0];
      const plain = parts.every((part) => Object.keys(part).join() === 'type');
      return plain ? { type: parts.map((part) => part.type) } : { anyOf: parts };
    };
    return type.aliasSymbol?.name === 'ListenConfig' ? this.#named('ListenConfig', make) : make();
  }

  #parts(union) {
    const parts = union.types.map((part) => this.#schema(part)).filter((part) => part !== undefined);
    const values = parts.flatMap((part) => part.enum ?? []);
    const others = parts.filter((part) => part.enum === undefined);
    if (values.includes(true) && values.includes(false)) return [{ type: 'boolean' }, ...others];
    // Names of strategies, and paths.
    if (values.length > 1) return [{ enum: values }, { type: 'string', pattern: STRATEGY_FILE.source }];
    if (values.length === 1) return [...others, { enum: values }];
    return union.aliasSymbol?.name === 'ListenConfig'
      ? others.map((part) => (part.type === 'number' ? PORT : part)) : others;
  }

  #named(name, make) {
    if (!(name in this.definitions)) {
      this.definitions[name] = undefined;
      this.definitions[name] = make();
    }
    // Undefined while it is made, for a type that refers to itself; ours do not.
    return this.definitions[name] === undefined ? undefined : { $ref: `#/definitions/${name}` };
  }
}

/** The interface or alias that declares a property. */
function ownerOf(declaration) {
  let node = declaration.parent;
  while (!ts.isInterfaceDeclaration(node) && !ts.isTypeAliasDeclaration(node)) node = node.parent;
  return node.name.text;
}

/** The default that a comment names. */
function defaultIn(comment) {
  const [, quoted, word, digits] = /\bDefault (?:`'?([^'`]+)'?`|(true|false)|(\d[\d,]*))/.exec(comment) ?? [];
  if (word !== undefined) return word === 'true';
  return digits === undefined ? quoted : Number(digits.replaceAll(',', ''));
}
