/**
 * Where to listen, as the command line and the configuration file say it.
 */
import type { ListenOptions } from '../balancer.ts';
import { integer, isRecord, onlyKnown, shown, socketPath } from '../options/checks.ts';

/** Where to listen. The permissions of a Unix socket are for whoever opens it: the core has no file system. */
export type ListenAddress =
  | Exclude<ListenOptions, { readonly path: string }>
  | { readonly path: string; readonly mode?: number; readonly backlog?: number };

/** How an address is read. */
export interface ListenContext {
  /** What problems are told of: `listen`, `listen[1]`. */
  readonly at: string;
  /** What a relative path of a Unix socket is relative to, if not the working directory. */
  readonly resolve?: (path: string) => string;
}

/**
 * Reads one address: `[host:]port`, `unix:PATH[,mode=660]`, `fd:N`; from a file also a number, or an object as
 * `listen` of a balancer takes it. Undefined where it is none; then `problems` say why.
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
    const [, path = rest, setting, value = ''] = /^(.+),([A-Za-z]+)=([^,/]*)$/.exec(rest) ?? [];
    if (setting === undefined) return readPath(path, {}, context, problems);
    if (setting === 'mode') return readPath(path, { mode: value }, context, problems);
    problems.push(`${at}: ${setting} is no setting of a Unix socket; the only one is mode, e.g. unix:${path},mode=660`);
    return undefined;
  }
  const fd = /^fd:(\d{1,9})$/.exec(text)?.[1];
  if (fd !== undefined) return { fd: Number(fd) };
  const match = /^(?:(\[[0-9A-Fa-f:.]+\]|[^:[\]/@\s]+):)?(\d{1,6})$/.exec(text);
  if (match !== null) return readPort(Number(match[2]), match[1]?.replace(/^\[|\]$/g, ''), at, problems);
  problems.push(`${at}: ${FORMS} (got ${shown(text)}${hint(text)})`);
  return undefined;
}

function readObject(
  given: Record<string, unknown>, context: ListenContext, problems: string[],
): ListenAddress | undefined {
  const { at } = context;
  const kinds = ['port', 'path', 'fd'].filter((kind) => given[kind] !== undefined);
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    problems.push(`${at}: must have one of port, path and fd, e.g. { "port": 8080 } (got ${shown(given)})`);
    return undefined;
  }
  onlyKnown(given, `${at}.`, KNOWN[kind as keyof typeof KNOWN], problems);
  const { port, host, path, mode, fd } = given;
  const backlog = given['backlog'] === undefined
    ? {}
    : { backlog: integer(given['backlog'], `${at}.backlog`, { fallback: DEFAULT_BACKLOG, min: 1 }, problems) };
  if (kind === 'fd') {
    if (typeof fd === 'number' && Number.isInteger(fd) && fd >= 0 && fd <= MAX_FD) return { fd };
    problems.push(`${at}.fd: must be the number of an open file descriptor, e.g. 3 (got ${shown(fd)})`);
    return undefined;
  }
  if (kind === 'path') {
    if (typeof path === 'string' && path !== '') {
      const read = readPath(path, { mode }, { ...context, at: `${at}.path`, modeAt: `${at}.mode` }, problems);
      return read && { ...read, ...backlog };
    }
    problems.push(`${at}.path: must be the path of a Unix socket, e.g. "/run/equipoise.sock" (got ${shown(path)})`);
    return undefined;
  }
  if (host !== undefined && (typeof host !== 'string' || host === '')) {
    problems.push(`${at}.host: must be a name or an address, e.g. "127.0.0.1" (got ${shown(host)})`);
    return undefined;
  }
  const read = readPort(port, host, `${at}.port`, problems);
  return read && { ...read, ...backlog };
}

function readPort(
  port: unknown, host: string | undefined, at: string, problems: string[],
): { readonly port: number; readonly host?: string } | undefined {
  if (typeof port === 'number' && Number.isInteger(port) && port >= 0 && port <= MAX_PORT) {
    return host === undefined ? { port } : { port, host };
  }
  problems.push(`${at}: a port must be an integer from 0 to ${MAX_PORT} (got ${shown(port)})`);
  return undefined;
}

function readPath(
  path: string, { mode }: { readonly mode?: unknown }, context: ListenContext & { readonly modeAt?: string },
  problems: string[],
): { readonly path: string; readonly mode?: number } | undefined {
  const { at, modeAt = at, resolve } = context;
  const resolved = resolve?.(path) ?? path;
  const before = problems.length;
  socketPath(resolved, at, problems);
  // As text alone: 660 in a JSON file would be a decimal number.
  if (mode !== undefined && !(typeof mode === 'string' && /^0?[0-7]{3}$/.test(mode))) {
    problems.push(`${modeAt}: the mode must be three octal digits in text, e.g. 660 (got ${shown(mode)})`);
  }
  if (problems.length > before) return undefined;
  return typeof mode === 'string' ? { path: resolved, mode: Number.parseInt(mode, 8) } : { path: resolved };
}

/** What may be meant by text that is no address. */
function hint(text: string): string {
  const url = /^https?:\/\/([^/]+)\/?$/i.exec(text)?.[1];
  if (url !== undefined) return `; did you mean ${url}?`;
  if (/^[/.]/.test(text)) return `; did you mean unix:${text}?`;
  return '';
}

const FORMS = 'must be [host:]port, unix:PATH[,mode=660] or fd:N, e.g. 127.0.0.1:8080';
const KNOWN = {
  port: new Set(['port', 'host', 'backlog']),
  path: new Set(['path', 'mode', 'backlog']),
  fd: new Set(['fd']),
};
const MAX_PORT = 65_535;
const MAX_FD = 2 ** 31 - 1;
const DEFAULT_BACKLOG = 511;
