/**
 * The ways into a balancer that are fuzzed, each without a network.
 */
import http from 'node:http';
import type { Socket } from 'node:net';
import type { Balancer } from '../../src/balancer.ts';
import { UNTIMED } from '../support/fronts.ts';
import type { Line } from './line.ts';

/** `socket` is the data path of `listen` and `accept`; `node:http` is `handle` and `upgrade` behind a server. */
export const FRONTS = ['socket', 'node:http'] as const;
export type Front = typeof FRONTS[number];

/** Returns what serves a connection through this front. */
export function doorOf(front: Front, balancer: Balancer): (line: Line) => void {
  if (front === 'socket') {
    return (line) => {
      balancer.accept(line as unknown as Socket);
    };
  }
  const server = http.createServer(UNTIMED, balancer.handle).on('upgrade', balancer.upgrade);
  return (line) => {
    server.emit('connection', line);
  };
}

/** The protocols that `upgrade` tunnels here: some of those drawn, so that others go back to `handle`. */
export const TUNNELLED: readonly string[] = ['websocket', 'foo/1', 'bar'];
