/**
 * Sockets that systemd, or a program like it, passes to this process: sd_listen_fds(3).
 */
import { readFileSync, readlinkSync } from 'node:fs';
import type { ListenAddress } from './listen.ts';

/** A socket that was passed. */
interface PassedSocket {
  readonly fd: number;
  /** As in `FileDescriptorName=` of its unit. */
  readonly name: string;
  readonly kind: Kind;
}

/** `unknown` where the system does not say. */
type Kind = 'listening' | 'connected' | 'datagram' | 'unknown';

export interface PassedSockets {
  readonly sockets: readonly PassedSocket[];
  /** Why there are none. */
  readonly problem?: string;
}

type Environment = Record<string, string | undefined>;

/**
 * Finds the sockets that were passed to the process `pid`. Removes the variables from `env` in that case: child
 * processes do not get these sockets.
 */
export function takePassedSockets(env: Environment, pid: number): PassedSockets {
  const { LISTEN_FDS: count, LISTEN_PID: owner, LISTEN_FDNAMES: names = '' } = env;
  if (count === undefined) return { sockets: [], problem: `LISTEN_FDS is not set; ${INSTEAD}` };
  if (owner !== String(pid)) {
    const whose = owner === undefined ? 'LISTEN_PID is not set' : `LISTEN_PID is ${owner}, and this is process ${pid}`;
    return { sockets: [], problem: `those of LISTEN_FDS are for another process (${whose}); start this one directly, ` +
      'not from a shell or npm (in a shell, use exec)' };
  }
  for (const name of VARIABLES) Reflect.deleteProperty(env, name);
  const number = /^\d{1,6}$/.test(count) ? Number(count) : 0;
  if (number === 0) return { sockets: [], problem: `LISTEN_FDS is ${count}; ${INSTEAD}` };
  const named = names.split(':');
  return {
    sockets: Array.from({ length: number }, (_, i) => {
      const name = named[i] ?? '';
      return { fd: FIRST + i, name: name === '' ? 'unknown' : name, kind: kindOf(FIRST + i) };
    }),
  };
}

/** The addresses to listen on for `systemd`. Adds what is wrong to `problems`. */
export function passedAddresses(
  { sockets, problem }: PassedSockets, at: string, problems: string[],
): readonly ListenAddress[] {
  if (problem !== undefined) problems.push(`${at}: systemd: no sockets were passed: ${problem}`);
  for (const { fd, name, kind } of sockets) {
    const which = `${at}: systemd: the socket ${name} (file descriptor ${fd})`;
    if (kind === 'datagram') {
      problems.push(`${which} is for datagrams; write ListenStream= in its unit, not ListenDatagram= or another`);
    } else if (kind === 'connected') problems.push(`${which} does not listen; write Accept=no in its unit`);
  }
  return sockets.map(({ fd }) => ({ fd }));
}

/** What the system (Linux) says of a socket. */
function kindOf(fd: number): Kind {
  const inode = /^socket:\[(\d+)\]$/.exec(readOr('', () => readlinkSync(`/proc/self/fd/${fd}`)))?.[1];
  if (inode === undefined) return 'unknown';
  const find = (file: string, column: number): readonly string[] | undefined => (
    readOr('', () => readFileSync(`/proc/net/${file}`, 'latin1')).split('\n')
      .map((line) => line.trim().split(/\s+/)).find((parts) => parts[column] === inode));
  const tcp = find('tcp', 9) ?? find('tcp6', 9);
  // The fourth column is the state.
  if (tcp !== undefined) return tcp[3] === '0A' ? 'listening' : 'connected';
  if ((find('udp', 9) ?? find('udp6', 9)) !== undefined) return 'datagram';
  const unix = find('unix', 6);
  if (unix === undefined) return 'unknown';
  const [, , , flags, type] = unix;
  if (type !== '0001') return 'datagram';
  // __SO_ACCEPTCON.
  return flags === '00010000' ? 'listening' : 'connected';
}

function readOr(otherwise: string, read: () => string): string {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

/** The first descriptor after the standard streams (SD_LISTEN_FDS_START). */
const FIRST = 3;
const VARIABLES = ['LISTEN_FDS', 'LISTEN_PID', 'LISTEN_FDNAMES'];
const INSTEAD = 'start this process by a .socket unit, or by systemd-socket-activate -l 8080';
