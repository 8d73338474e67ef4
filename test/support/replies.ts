/**
 * Answers of unhealthy upstreams.
 */
import { type Peer, request, response, type Script, serve } from './upstream.ts';

/** A well-formed 503. */
export const BUSY = response('busy', '', '503 Service Unavailable');

/** Answers each request with this status. */
export function answering(status: number): (peer: Peer) => Promise<never> {
  return serve(({ head: { line } }) => {
    return line.startsWith('HEAD ') ? `HTTP/1.1 ${status} Whatever\r\nContent-Length: 3\r\n\r\n`
      : response(String(status), '', `${status} Whatever`);
  });
}

/** Reads one request and does not answer it. */
export const SILENT: Script = [request];
