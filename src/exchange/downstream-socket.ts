/**
 * What the upstream connections that belong to one downstream connection are bound to.
 */

/** The socket of a downstream connection, to which an affinity is bound. */
export interface DownstreamSocket {
  readonly destroyed: boolean;
  once(event: 'close', listener: () => void): unknown;
}
