/**
 * Where a message ends (RFC 9112 §6.3).
 */

/** How the length of a body is known. */
export type Framing = typeof NONE | typeof LENGTH | typeof CHUNKED | typeof UNTIL_CLOSE;

/** No body. */
export const NONE = 0;
/** The length in Content-Length. */
export const LENGTH = 1;
/** In chunks, each with its size (RFC 9112 §7.1). */
export const CHUNKED = 2;
/** Everything up to the end of the connection: responses without a length, and tunnels. */
export const UNTIL_CLOSE = 3;
