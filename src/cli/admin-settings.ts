/**
 * Where the admin listener of the binary listens, and for whom: read and checked.
 */
import { readFileSync } from 'node:fs';
import { messageOf } from '../guard.ts';
import { shown } from '../options/checks.ts';
import { isSecret } from '../options/secret.ts';
import { type ListenAddress, readListen } from './listen.ts';
import { urlText } from './listening.ts';

export interface AdminSettings {
  readonly where: ListenAddress;
  /** Undefined: everybody who reaches the listener may do everything. */
  readonly token: string | undefined;
  readonly hosts: readonly string[];
}

/** A value of the command line or the file. */
interface Given {
  readonly value: unknown;
  /** Its name in messages. */
  readonly at: string;
  readonly resolve: (path: string) => string;
}

/** Reads where the admin listener listens, and for whom. Undefined if there is none, or something is wrong. */
export function readAdmin(
  admin: Given, tokenFile: Given, hosts: Given, problems: string[], env = process.env,
): AdminSettings | undefined {
  const { value, at, resolve } = admin;
  if (value === undefined) {
    // A file may leave it to the command line whether there is a listener.
    const alone = tokenFile.value !== undefined && tokenFile.at === 'admin-token-file';
    if (alone) problems.push(`${tokenFile.at}: there is no admin listener; add --admin, or leave it out`);
    else if (tokenFile.value !== undefined) tokenOf(tokenFile, problems, {});
    hostsOf(hosts, problems);
    return undefined;
  }
  const before = problems.length;
  const read = readListen(value, { at, resolve }, problems);
  const token = tokenOf(tokenFile, problems, env);
  const names = hostsOf(hosts, problems);
  if (read === undefined || problems.length > before) return undefined;
  // A bare port is for this machine.
  const where = 'port' in read && read.host === undefined ? { ...read, host: '127.0.0.1' } : read;
  if (!('port' in where) && !('path' in where)) {
    problems.push(`${at}: must be [host:]port or unix:PATH[,mode=660], e.g. 127.0.0.1:9090 (got ${shown(value)})`);
    return undefined;
  }
  if ('port' in where && token === undefined && !isLoopback(where.host)) {
    problems.push(`${at}: ${where.host} can be reached by others, who could drain upstreams; give a token ` +
      `(--admin-token-file, or the variable ${VARIABLE}), or listen on 127.0.0.1 or unix:PATH`);
    return undefined;
  }
  return { where, token, hosts: names };
}

function tokenOf({ value, at, resolve }: Given, problems: string[], env: NodeJS.ProcessEnv): string | undefined {
  const { [VARIABLE]: variable } = env;
  if (value === undefined) {
    if (variable === undefined || variable === '' || isSecret(variable)) return variable === '' ? undefined : variable;
    problems.push(`${VARIABLE}: must be visible ASCII characters`);
    return undefined;
  }
  if (typeof value !== 'string' || value === '') {
    problems.push(`${at}: must be a file path, e.g. "/etc/equipoise/admin-token" (got ${shown(value)})`);
    return undefined;
  }
  try {
    const token = readFileSync(resolve(value), 'utf8').trim();
    if (isSecret(token)) return token;
    problems.push(`${at}: ${value} must contain one line of visible ASCII characters, e.g. 32 random ones`);
  } catch (error) {
    problems.push(`${at}: ${value} cannot be read: ${messageOf(error)}`);
  }
  return undefined;
}

function hostsOf({ value, at }: Given, problems: string[]): readonly string[] {
  if (value === undefined) return [];
  const isName = (one: unknown): one is string => typeof one === 'string' && /^[\w.:-]+$/.test(one);
  if (Array.isArray(value) && value.every(isName)) return value;
  problems.push(`${at}: must be a list of host names without ports, e.g. ["lb.example.com"] (got ${shown(value)})`);
  return [];
}

function isLoopback(host = ''): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** For the log, and for --check. */
export function adminText({ where, token }: AdminSettings): string {
  const place = 'path' in where ? `unix:${where.path}` : 'port' in where ? urlText(where.host, where.port) : '';
  return `${place}${token === undefined ? '' : ', with a token'}`;
}

const VARIABLE = 'EQUIPOISE_ADMIN_TOKEN';
