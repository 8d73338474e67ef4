import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BalancerError, type ErrorCode, type ErrorSource, meaningOf } from '../src/errors.ts';

/** What each code means: where it came from, the status of its answer, and whether another attempt may be made. */
const TABLE = {
  REQUEST_MALFORMED: ['downstream', 400, false],
  REQUEST_BODY_MALFORMED: ['downstream', 400, false],
  REQUEST_TIMEOUT: ['downstream', 408, false],
  REQUEST_BODY_TOO_LARGE: ['downstream', 413, false],
  TARGET_TOO_LONG: ['downstream', 414, false],
  EXPECTATION_UNKNOWN: ['downstream', 417, false],
  REQUEST_HEAD_TOO_LARGE: ['downstream', 431, false],
  METHOD_UNSUPPORTED: ['downstream', 501, false],
  CODING_UNKNOWN: ['downstream', 501, false],
  VERSION_UNSUPPORTED: ['downstream', 505, false],
  LOOP_DETECTED: ['downstream', 508, false],
  DOT_SEGMENTS: ['downstream', 400, false],
  NO_ROUTE: ['downstream', 404, false],
  UPGRADE_DECLINED: ['downstream', 502, false],
  CONNECTIONS_EXHAUSTED: ['downstream', 503, false],
  DOWNSTREAM_GONE: ['downstream', 400, false],
  DOWNSTREAM_STALLED: ['downstream', 408, false],

  // Only a failure to connect proves that nothing was processed (RFC 9110 §9.2.2).
  CONNECT_REFUSED: ['upstream', 502, true],
  CONNECT_UNREACHABLE: ['upstream', 502, true],
  CONNECT_CLOSED: ['upstream', 502, true],
  CONNECT_FAILED: ['upstream', 502, true],
  CONNECT_TIMEOUT: ['upstream', 504, true],
  DNS_FAILED: ['upstream', 502, true],
  DNS_TIMEOUT: ['upstream', 504, true],
  TLS_CERTIFICATE_INVALID: ['upstream', 502, true],
  TLS_HANDSHAKE_FAILED: ['upstream', 502, true],
  TLS_ALERT_RECEIVED: ['upstream', 502, true],
  TLS_SESSION_ENDED: ['upstream', 502, false],
  UPSTREAM_CLOSED: ['upstream', 502, false],
  RESPONSE_MALFORMED: ['upstream', 502, false],
  RESPONSE_HEAD_TOO_LARGE: ['upstream', 502, false],
  RESPONSE_INCOMPLETE: ['upstream', 502, false],
  RESPONSE_TIMEOUT: ['upstream', 504, false],
  TOTAL_TIMEOUT: ['upstream', 504, false],
  UPSTREAM_REMOVED: ['internal', 503, false],
  UPGRADE_UNASKED: ['upstream', 502, false],
  UPGRADE_INVALID: ['upstream', 502, false],

  OVERLOADED: ['internal', 503, false],
  NO_CANDIDATE: ['internal', 503, false],
  ACCEPT_FAILED: ['internal', 500, false],
  CLOSING: ['internal', 503, false],
  STRATEGY_FAILED: ['internal', 500, false],
  BODY_CONSUMED: ['internal', 500, false],
  HOOK_FAILED: ['internal', 500, false],
  REQUEST_UNSENDABLE: ['internal', 500, false],
  INTERNAL_ERROR: ['internal', 500, false],
  RESOURCES_EXHAUSTED: ['internal', 503, false],
  CONNECT_UNUSABLE: ['internal', 502, true],
  OPTIONS_INVALID: ['internal', 500, false],
} as const satisfies Record<ErrorCode, readonly [ErrorSource, number, boolean]>;

/** RFC 9209 §2.3, and the registry that it created. */
const PROXY_STATUS_TYPES: ReadonlySet<string> = new Set([
  'dns_timeout', 'dns_error', 'destination_not_found', 'destination_unavailable', 'destination_ip_prohibited',
  'destination_ip_unroutable', 'connection_refused', 'connection_terminated', 'connection_timeout',
  'connection_read_timeout', 'connection_write_timeout', 'connection_limit_reached', 'tls_protocol_error',
  'tls_certificate_error', 'tls_alert_received', 'http_request_error', 'http_request_denied',
  'http_response_incomplete', 'http_response_header_section_size', 'http_response_header_size',
  'http_response_body_size', 'http_response_trailer_section_size', 'http_response_trailer_size',
  'http_response_transfer_coding', 'http_response_content_coding', 'http_response_timeout', 'http_upgrade_failed',
  'http_protocol_error', 'proxy_internal_response', 'proxy_internal_error', 'proxy_configuration_error',
  'proxy_loop_detected',
]);

describe('each code', () => {
  for (const [name, [source, status, retryable]] of Object.entries(TABLE)) {
    const code = name as ErrorCode;
    test(`${code} is ${status}, from ${source}${retryable ? ', retryable' : ''}`, () => {
      const meaning = meaningOf(code);
      assert.deepEqual([meaning.source, meaning.status, meaning.retryable], [source, status, retryable]);
      assert.ok(PROXY_STATUS_TYPES.has(meaning.proxyStatus), `${meaning.proxyStatus} is no type of RFC 9209`);
      // Any client may see it: one plain sentence.
      assert.match(meaning.text, /^[A-Z][A-Za-z ]+\.$/);
      const error = new BalancerError(code);
      assert.deepEqual([error.code, error.source, error.retryable, error.message],
        [code, source, retryable, meaning.text]);
    });
  }
});

test('an error is an Error, with its own message and cause', () => {
  const cause = new Error('ECONNREFUSED');
  const error = new BalancerError('CONNECT_REFUSED', 'connect 10.0.0.1:80', { cause });
  assert.ok(error instanceof Error);
  assert.equal(error.name, 'BalancerError');
  assert.equal(error.message, 'connect 10.0.0.1:80');
  assert.equal(error.cause, cause);
  assert.match(error.stack ?? '', /^BalancerError: connect 10\.0\.0\.1:80\n|^Error: connect 10\.0\.0\.1:80\n/);
  assert.equal(new BalancerError('CLOSING').cause, undefined);
});
