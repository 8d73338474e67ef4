/**
 * What spans say of an exchange and of an attempt: the stable semantic conventions of OpenTelemetry for HTTP (v1.23.0
 * and later), and a few attributes of our own, `equipoise.*`.
 */
import type { AttemptTrace, ExchangeTrace } from '../tracing.ts';
import type { Attributes } from './trace-options.ts';

/** The name of a server span. */
export function serverName({ request: { method }, route }: ExchangeTrace): string {
  const name = knownMethod(method) ?? 'HTTP';
  return route === undefined ? name : cut(`${name} ${route}`);
}

/** The name of a client span. */
export function clientName({ method }: AttemptTrace): string {
  return knownMethod(method) ?? 'HTTP';
}

/** What is known of a request when its exchange begins. `query` is whether the query is told. */
export function requestAttributes({ request, route }: ExchangeTrace, query: boolean): Attributes {
  const { method, target, protocol, remoteAddress, client, headers } = request;
  const mark = target.indexOf('?');
  const attributes: Attributes = {
    ...methodAttributes(method),
    ...serverAttributes(client.host, client.scheme),
    'url.scheme': cut(client.scheme),
    'url.path': cut(mark < 0 ? target : target.slice(0, mark)),
    'network.protocol.version': protocol === '2.0' ? '2' : protocol,
  };
  if (query && mark >= 0) attributes['url.query'] = cut(redacted(target.slice(mark + 1)));
  if (client.address !== '') attributes['client.address'] = cut(client.address);
  if (remoteAddress !== '') attributes['network.peer.address'] = remoteAddress;
  const agent = headers.get('user-agent');
  if (agent !== null) attributes['user_agent.original'] = cut(agent);
  if (route !== undefined) attributes['http.route'] = cut(route);
  return attributes;
}

/** What an exchange came to. */
export function resultAttributes({ result, complete, error }: ExchangeTrace): Attributes {
  if (result === undefined) return {};
  const { status, pool, queuedMs, firstByteMs } = result;
  const attributes: Attributes = { 'equipoise.queued_ms': Math.round(queuedMs * 1_000) / 1_000 };
  // Without a response there is a status for logs only.
  if (firstByteMs !== undefined) attributes['http.response.status_code'] = status;
  if (pool !== undefined) attributes['equipoise.pool'] = pool;
  // What the client did wrong is no failure of the server.
  if (!complete || status >= 500) attributes['error.type'] = error?.code ?? String(status);
  return attributes;
}

/** What is known of an attempt when it begins. */
export function attemptAttributes(attempt: AttemptTrace, query: boolean): Attributes {
  const { number, mirror, pool, upstream: { origin }, method, target } = attempt;
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const attributes: Attributes = {
    ...methodAttributes(method),
    ...serverAttributes(origin.replace(SCHEME, ''), SCHEME.exec(origin)?.[1] ?? 'http'),
    'url.full': cut(`${origin}${query && mark >= 0 ? `${path}?${redacted(target.slice(mark + 1))}` : path}`),
    'network.protocol.version': '1.1',
    'equipoise.pool': pool,
  };
  if (mirror) attributes['equipoise.mirror'] = true;
  else if (number > 1) attributes['http.request.resend_count'] = number - 1;
  return attributes;
}

/** What an attempt came to. */
export function outcomeAttributes({ status, error }: AttemptTrace): Attributes {
  const attributes: Attributes = {};
  if (status !== undefined) attributes['http.response.status_code'] = status;
  if (error !== undefined) attributes['error.type'] = error.code;
  else if (status !== undefined && status >= 400) attributes['error.type'] = String(status);
  return attributes;
}

function methodAttributes(method: string): Attributes {
  const known = knownMethod(method);
  return known === undefined ? { 'http.request.method': '_OTHER', 'http.request.method_original': cut(method) }
    : { 'http.request.method': known };
}

function knownMethod(method: string): string | undefined {
  return METHODS.has(method) ? method : undefined;
}

/** The server that an authority names, e.g. `a.example:8080` or `[::1]`. */
function serverAttributes(authority: string, scheme: string): Attributes {
  const [, address = '', port] = AUTHORITY.exec(authority) ?? [];
  if (address === '') return authority === '' ? {} : { 'server.address': cut(authority) };
  const usual = scheme === 'https' ? 443 : 80;
  return { 'server.address': cut(address.replace(/^\[|\]$/g, '')), 'server.port': port ? Number(port) : usual };
}

/** A query without the signatures that the conventions name: they are credentials. */
function redacted(query: string): string {
  return query.replace(SIGNATURES, '$1REDACTED');
}

/** No longer than a backend takes, and no request can blow up a span. */
function cut(value: string): string {
  return value.length > MAX_LENGTH ? value.slice(0, MAX_LENGTH) : value;
}

const METHODS: ReadonlySet<string> = new Set(
  ['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE', 'QUERY']);
const SIGNATURES = /((?:^|&)(?:AWSAccessKeyId|Signature|sig|X-Goog-Signature)=)[^&]*/g;
const SCHEME = /^([a-z][\da-z+.-]*):\/\//i;
const AUTHORITY = /^(\[[^\]]*\]|[^:/]+)(?::(\d+))?$/;
const MAX_LENGTH = 1_024;
