/**
 * Parses where to listen, from the command line or the configuration file.
 */
import { flag, isRecord, shown, socketPath } from '../options/checks.ts';
import { checkPort, type ListenOptions, readListenOptions } from '../options/listen.ts';

/**
 * Where to listen, and what for. `mode` is the permissions of a Unix socket, which the binary sets: the core has no
 * `node:fs`.
 */
export type ListenAddress = ListenPlace & {
  /** To end TLS, or to redirect to where TLS is ended; undefined to serve HTTP as it comes. */
  readonly as?: 'tls' | 'redirect';
};

type ListenPlace =
  | Exclude<ListenOptions, { readonly path: string }>
  | { readonly path: string; readonly mode?: number; readonly backlog?: number };

/** The context of an address. */
export interface ListenContext {
  /** Its name in messages: `listen`, `listen[1]`. */
  readonly at: string;
  /** Resolves the path of a Unix socket, if not relative to the working directory. */
  readonly resolve?: (path: string) => string;
}

/**
 * Parses one address: `[host:]port`, `tls:[host:]port`, `redirect:[host:]port`, `unix:PATH[,mode=660]`, `unix:@NAME` or
 * `fd:N`; in a file also a number, or an object as in `balancer.listen`, with `tls` or `redirect`. If it is wrong,
 * returns undefined and adds why to `problems`.
 */
export function readListen(value: unknown, context: ListenContext, problems: string[]): ListenAddress | undefined {
  if (typeof value === 'number') return readPort(value, undefined, context.at, problems);
  if (typeof value === 'string') return readText(value, context, problems);
  if (isRecord(value)) return readObject(value, context, problems);
  problems.push(`${context.at}: ${FORMS} (got ${shown(value)})`);
  return undefined;
}

function readText(text: string, context: ListenContext, problems: string[]): ListenAddress | undefined {
  const { at } = context;
  const rest = /^unix:(.+)$/.exec(text)?.[1];
  if (rest !== undefined) {
    if (rest.startsWith('@')) return readAbstract(rest, context, problems);
    const [, path = rest, setting, value = ''] = /^(.+),([A-Za-z]+)=([^,/]*)$/.exec(rest) ?? [];
    if (setting === undefined) return readPath(path, undefined, context, problems);
    if (setting === 'mode') return readPath(path, value, context, problems);
    problems.push(`${at}: ${setting}: unknown setting of a Unix socket (known: mode); write unix:${path},mode=660`);
    return undefined;
  }
  const fd = /^fd:(\d{1,9})$/.exec(text)?.[1];
  if (fd !== undefined) return { fd: Number(fd) };
  const match = /^(?:(tls|redirect):)?(?:(\[[0-9A-Fa-f:.]+\]|[^:[\]/@\s]+):)?(\d{1,6})$/.exec(text);
  if (match !== null) {
    const [, as, host, port] = match;
    const place = readPort(Number(port), host?.replace(/^\[|\]$/g, ''), at, problems);
    return place && as !== undefined ? { ...place, as: as as 'tls' | 'redirect' } : place;
  }
  problems.push(`${at}: ${FORMS} (got ${shown(text)}${hint(text)})`);
  return undefined;
}

function readObject(
  { mode, tls, redirect, ...given }: Record<string, unknown>, { at, resolve }: ListenContext, problems: string[],
): ListenAddress | undefined {
  const before = problems.length;
  const { path } = given;
  const resolved = typeof path === 'string' && path !== '' ? resolve?.(path) ?? path : path;
  const options = readListenOptions(resolved === path ? given : { ...given, path: resolved }, at, problems, OWN);
  if (options === undefined) return undefined;
  const as = purpose({ tls, redirect }, at, problems);
  if (mode === undefined) return problems.length > before ? undefined : as === undefined ? options : { ...options, as };
  if (!('path' in options)) problems.push(`${at}.mode: can only be used with path; leave it out`);
  const permissions = readMode(mode, `${at}.mode`, problems);
  if (problems.length > before || !('path' in options) || permissions === undefined) return undefined;
  return { ...options, mode: permissions };
}

/** What an object says that it listens for. */
function purpose(
  given: Readonly<Record<'tls' | 'redirect', unknown>>, at: string, problems: string[],
): ListenAddress['as'] {
  const tls = flag(given.tls, `${at}.tls`, problems);
  const redirect = flag(given.redirect, `${at}.redirect`, problems);
  if (tls && redirect) problems.push(`${at}: must be either tls or redirect, not both`);
  return tls ? 'tls' : redirect ? 'redirect' : undefined;
}

function readPort(port: number, host: string | undefined, at: string, problems: string[]): ListenAddress | undefined {
  const before = problems.length;
  checkPort(port, at, problems);
  if (problems.length > before) return undefined;
  return host === undefined ? { port } : { port, host };
}

/** The name of an abstract socket, `@NAME`. */
function readAbstract(text: string, { at }: ListenContext, problems: string[]): ListenAddress | undefined {
  const before = problems.length;
  const path = `\0${text.slice(1)}`;
  if (process.platform !== 'linux') problems.push(`${at}: abstract sockets exist on Linux alone; write unix:PATH`);
  else if (/,mode=[^/]*$/.test(text)) problems.push(`${at}: an abstract socket has no file, and no mode; leave it out`);
  else if (path.length === 1) problems.push(`${at}: must name an abstract socket, e.g. unix:@app`);
  else socketPath(path, at, problems);
  return problems.length > before ? undefined : { path };
}

function readPath(
  path: string, mode: string | undefined, { at, resolve }: ListenContext, problems: string[],
): ListenAddress | undefined {
  const before = problems.length;
  const resolved = resolve?.(path) ?? path;
  socketPath(resolved, at, problems);
  const permissions = mode === undefined ? undefined : readMode(mode, at, problems);
  if (problems.length > before) return undefined;
  return permissions === undefined ? { path: resolved } : { path: resolved, mode: permissions };
}

/** The permissions of a Unix socket. Must be a string: the number 660 in a JSON file would be decimal. */
function readMode(mode: unknown, at: string, problems: string[]): number | undefined {
  if (typeof mode === 'string' && /^0?[0-7]{3}$/.test(mode)) return Number.parseInt(mode, 8);
  problems.push(`${at}: the mode must be three octal digits as a string, e.g. "660" (got ${shown(mode)})`);
  return undefined;
}

/** What a text that is not an address may have been meant to be. */
function hint(text: string): string {
  const url = /^https?:\/\/([^/]+)\/?$/i.exec(text)?.[1];
  if (url !== undefined) return `; did you mean ${url}?`;
  if (/^[/.]/.test(text)) return `; did you mean unix:${text}?`;
  return '';
}

const FORMS = 'must be [host:]port, tls:[host:]port, redirect:[host:]port, unix:PATH[,mode=660], fd:N or systemd, ' +
  'e.g. 127.0.0.1:8080';
/** Keys of an object that the core does not have. */
const OWN = ['mode', 'tls', 'redirect'];
