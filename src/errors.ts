/**
 * The one error class, and the one table of what each error code means.
 */

/** Where a failure originated. `internal` is the balancer itself, its options or its strategy. */
export type ErrorSource = 'downstream' | 'upstream' | 'internal';

/**
 * How an attempt ended: whose fault it was, and at which stage. Decided once, where it happens; health, retries and
 * the strategy's outcome follow from it.
 */
export interface Ending {
  /** `own`: the balancer's, its machine's or its embedder's. `none`: the attempt was completed. */
  readonly fault: 'upstream' | 'downstream' | 'own' | 'none';
  /**
   * `idle`: an idle connection turned out to be closed before the upstream had read any of this request. `connect`: not
   * connected yet. `head`: no response head yet. `body`: the response had begun.
   */
  readonly stage: 'idle' | 'connect' | 'head' | 'body';
}

interface Meaning {
  readonly source: ErrorSource;
  /** Whether another attempt is always safe: true only if the upstream provably processed nothing. */
  readonly retryable: boolean;
  /** The status of our answer, if no byte of a response has been sent. */
  readonly status: number;
  /** The error type of the Proxy-Status field (RFC 9209 §2.3). */
  readonly proxyStatus: string;
  readonly text: string;
}

/** Every code, with its source, status, Proxy-Status type and text. */
const MEANINGS = {
  REQUEST_MALFORMED: meaning('downstream', 400, 'http_request_error', 'The request is malformed.'),
  REQUEST_BODY_MALFORMED: meaning('downstream', 400, 'http_request_error', 'The request body is malformed.'),
  REQUEST_TIMEOUT: meaning('downstream', 408, 'http_request_error', 'The request took too long to arrive.'),
  REQUEST_BODY_TOO_LARGE: meaning('downstream', 413, 'http_request_error', 'The request body is too large.'),
  TARGET_TOO_LONG: meaning('downstream', 414, 'http_request_error', 'The request line is too long.'),
  EXPECTATION_UNKNOWN: meaning('downstream', 417, 'http_request_error', 'The expectation is not supported.'),
  REQUEST_HEAD_TOO_LARGE: meaning('downstream', 431, 'http_request_error', 'The request head is too large.'),
  METHOD_UNSUPPORTED: meaning('downstream', 501, 'http_request_denied', 'The method is not supported.'),
  CODING_UNKNOWN: meaning('downstream', 501, 'http_request_error', 'The transfer coding is not supported.'),
  VERSION_UNSUPPORTED: meaning('downstream', 505, 'http_request_error', 'The HTTP version is not supported.'),
  LOOP_DETECTED: meaning(
    'downstream', 508, 'proxy_loop_detected',
    'The request has already passed through a balancer of this name.'),
  DOT_SEGMENTS: meaning(
    'downstream', 400, 'http_request_error', 'The path of the request has dot segments.'),
  NO_ROUTE: meaning('downstream', 404, 'destination_not_found', 'There is nothing at this host and path.'),
  // Any page may answer so, and a client of HTTP/2 would take it for an open tunnel.
  UPGRADE_DECLINED: meaning(
    'downstream', 502, 'http_upgrade_failed', 'The upstream did not switch protocols.'),
  CONNECTIONS_EXHAUSTED: meaning('downstream', 503, 'http_request_denied', 'There are too many connections.'),
  DOWNSTREAM_GONE: meaning('downstream', 400, 'http_request_error', 'The downstream went away.'),
  DOWNSTREAM_STALLED: meaning('downstream', 408, 'connection_write_timeout', 'The downstream stopped reading.'),

  CONNECT_REFUSED: retryable('upstream', 502, 'connection_refused', 'The upstream refused the connection.'),
  CONNECT_UNREACHABLE: retryable(
    'upstream', 502, 'destination_ip_unroutable', 'There is no route to the upstream.'),
  CONNECT_CLOSED: retryable(
    'upstream', 502, 'connection_terminated', 'The upstream closed the connection before it was ready.'),
  // Every connect failure without a code of its own.
  CONNECT_FAILED: retryable('upstream', 502, 'destination_unavailable', 'The upstream could not be reached.'),
  CONNECT_TIMEOUT: retryable('upstream', 504, 'connection_timeout', 'The upstream took too long to connect.'),
  DNS_FAILED: retryable('upstream', 502, 'dns_error', 'The name of the upstream was not found.'),
  DNS_TIMEOUT: retryable('upstream', 504, 'dns_timeout', 'Looking up the name of the upstream took too long.'),
  TLS_CERTIFICATE_INVALID: retryable(
    'upstream', 502, 'tls_certificate_error', 'The certificate of the upstream is not valid.'),
  TLS_HANDSHAKE_FAILED: retryable(
    'upstream', 502, 'tls_protocol_error', 'The TLS handshake with the upstream failed.'),
  TLS_ALERT_RECEIVED: retryable(
    'upstream', 502, 'tls_alert_received', 'The upstream ended the TLS handshake with an alert.'),
  // In TLS 1.3 the alert of an upstream that requires a client certificate comes after the handshake.
  TLS_SESSION_ENDED: meaning(
    'upstream', 502, 'tls_alert_received', 'The upstream ended the TLS session with an alert.'),
  RESOURCES_EXHAUSTED: meaning(
    'internal', 503, 'proxy_internal_error', 'The balancer ran out of system resources.'),
  CONNECT_UNUSABLE: retryable(
    'internal', 502, 'proxy_configuration_error', 'The balancer has no usable way to connect to the upstream.'),
  UPSTREAM_CLOSED: meaning('upstream', 502, 'connection_terminated', 'The upstream closed without a response.'),
  RESPONSE_MALFORMED: meaning('upstream', 502, 'http_protocol_error', 'The upstream sent a malformed response.'),
  RESPONSE_HEAD_TOO_LARGE: meaning(
    'upstream', 502, 'http_response_header_section_size', 'The response head is too large.'),
  RESPONSE_INCOMPLETE: meaning('upstream', 502, 'http_response_incomplete', 'The upstream broke off its response.'),
  RESPONSE_TIMEOUT: meaning('upstream', 504, 'http_response_timeout', 'The upstream took too long to respond.'),
  TOTAL_TIMEOUT: meaning('upstream', 504, 'http_response_timeout', 'The request took too long over all attempts.'),
  UPSTREAM_REMOVED: meaning('internal', 503, 'destination_unavailable', 'The upstream was removed.'),
  UPGRADE_UNASKED: meaning(
    'upstream', 502, 'http_upgrade_failed', 'The upstream switched protocols without being asked to.'),
  // Requested, but answered without Connection, without a protocol, or before the request was complete.
  UPGRADE_INVALID: meaning(
    'upstream', 502, 'http_upgrade_failed', 'The upstream switched protocols in a way that HTTP does not allow.'),

  OVERLOADED: meaning('internal', 503, 'connection_limit_reached', 'There are too many requests in flight.'),
  NO_CANDIDATE: meaning('internal', 503, 'destination_unavailable', 'No upstream is available for the request.'),
  ACCEPT_FAILED: meaning('internal', 500, 'proxy_internal_error', 'A connection could not be accepted.'),
  CLOSING: meaning('internal', 503, 'destination_unavailable', 'The balancer is closing.'),
  STRATEGY_FAILED: meaning('internal', 500, 'proxy_internal_error', 'The strategy failed.'),
  BODY_CONSUMED: meaning('internal', 500, 'proxy_configuration_error', 'The request body has already been read.'),
  REQUEST_UNSENDABLE: meaning(
    'internal', 500, 'proxy_internal_error', 'The request was modified in a way that HTTP does not allow.'),
  INTERNAL_ERROR: meaning('internal', 500, 'proxy_internal_error', 'The balancer failed unexpectedly.'),
  HOOK_FAILED: meaning('internal', 500, 'proxy_internal_error', 'A function given as an option failed.'),
  OPTIONS_INVALID: meaning('internal', 500, 'proxy_configuration_error', 'The options are invalid.'),
} satisfies Record<string, Meaning>;

/** The stable code of a {@link BalancerError}. */
export type ErrorCode = keyof typeof MEANINGS;

/** A failure: its stable `code`, its `source`, whether it was `retryable`, and its `cause`. */
export class BalancerError extends Error {
  readonly code: ErrorCode;
  readonly source: ErrorSource;
  readonly retryable: boolean;
  /** The status of our own answer, 400 to 599. */
  readonly status: number;

  constructor(code: ErrorCode, message?: string, options?: ErrorOptions) {
    super(message ?? MEANINGS[code].text, options);
    this.name = 'BalancerError';
    this.code = code;
    this.source = MEANINGS[code].source;
    this.retryable = MEANINGS[code].retryable;
    this.status = MEANINGS[code].status;
  }
}

/** The ending of an attempt that failed with `code` at `stage`. */
export function endingOf(code: ErrorCode, stage: Ending['stage']): Ending {
  const { source } = MEANINGS[code];
  return { fault: source === 'internal' ? 'own' : source, stage };
}

/** What a code means on the wire and for retries: the one map from errors to statuses. */
export function meaningOf(code: ErrorCode): Meaning {
  return MEANINGS[code];
}

function meaning(source: ErrorSource, status: number, proxyStatus: string, text: string): Meaning {
  return { source, retryable: false, status, proxyStatus, text };
}

function retryable(source: ErrorSource, status: number, proxyStatus: string, text: string): Meaning {
  return { source, retryable: true, status, proxyStatus, text };
}
