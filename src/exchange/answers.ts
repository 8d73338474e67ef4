/**
 * The balancer's own responses: short, with Proxy-Status (RFC 9209), without any address.
 */
import { type ErrorCode, meaningOf } from '../errors.ts';
import type { Events } from '../events.ts';
import type { Hop } from '../http1/forwarding.ts';
import { NONE } from '../http1/framing.ts';
import { NO_BYTES } from '../http1/grammar.ts';
import type { RequestHead } from '../http1/request.ts';
import { ResponseHead } from '../http1/response.ts';
import type { Services } from '../pools/services.ts';
import { named } from './request-id.ts';

/** A response of our own. */
export interface Answer {
  readonly head: ResponseHead;
  readonly body: Buffer;
}

/**
 * The answer to a request of `from` that failed with `code`; `bodiless` for HEAD. Emits `refused`, with the `id` of the
 * request if it has one. Each answer is made once, which keeps refusing cheap.
 */
export function answerTo(code: ErrorCode, events: Events, from: OtherEnd, bodiless = false, id = ''): Answer {
  const answer = answerOf(code, bodiless);
  if (events.heard('refused')) {
    const { head: { status } } = answer;
    events.tell('refused', { status, code, remoteAddress: from.hop.address, ...named({ id }) });
  }
  return answer;
}

/** As `answerTo`, for what is refused before it becomes an exchange. Emits `unread` as well. */
export function refusalOf(code: ErrorCode, services: Services, from: OtherEnd, bodiless = false): Answer {
  const { events, clock } = services;
  const answer = answerTo(code, events, from, bodiless);
  if (events.heard('unread')) {
    const { head: { status } } = answer;
    events.tell('unread', { status, code, remoteAddress: from.hop.address, startedAt: clock.source.epoch() });
  }
  return answer;
}

/** The answer for `code`, without an event. */
export function answerOf(code: ErrorCode, bodiless: boolean): Answer {
  const made = bodiless ? BODILESS : WHOLE;
  const answer = made.get(code) ?? compose(code, bodiless);
  made.set(code, answer);
  return answer;
}

/** Who is answered. Looking at the address may call the embedder's code: only if there are listeners. */
interface OtherEnd {
  readonly hop: Hop;
}

const WHOLE = new Map<ErrorCode, Answer>();
const BODILESS = new Map<ErrorCode, Answer>();

function compose(code: ErrorCode, bodiless: boolean): Answer {
  const { status, text, proxyStatus } = meaningOf(code);
  // A connection beyond the limit is answered before its request is read: that may be a HEAD, which allows no body.
  const body = code === 'CONNECTIONS_EXHAUSTED' ? NO_BYTES : Buffer.from(`${text}\n`);
  const head = new ResponseHead();
  const retry = status === 503 ? `Retry-After: ${RETRY_AFTER_SECONDS}\r\n` : '';
  const fields = `Content-Type: text/plain; charset=utf-8\r\nProxy-Status: equipoise; error=${proxyStatus}\r\n${retry}`;
  head.compose(status, REASONS[status] ?? '', fields, body.length);
  if (bodiless) head.framing = NONE;
  return { head, body };
}

/**
 * The answer to OPTIONS or TRACE as their final recipient. To TRACE it returns the request without headers that might
 * be secret (RFC 9110 §9.3.8).
 */
export function finalAnswer({ method, target, host, version, maxForwards = '', via }: RequestHead): Answer {
  const head = new ResponseHead();
  if (method !== 'TRACE') {
    head.compose(200, 'OK', '', 0);
    return { head, body: NO_BYTES };
  }
  const came = `${method} ${target} HTTP/${version}\r\nHost: ${host}\r\nMax-Forwards: ${maxForwards}\r\n`;
  const body = Buffer.from(`${came}${via === '' ? '' : `Via: ${via}\r\n`}\r\n`, 'latin1');
  head.compose(200, 'OK', 'Content-Type: message/http\r\n', body.length);
  return { head, body };
}

/** Overload passes in seconds or not at all. */
const RETRY_AFTER_SECONDS = 1;

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  404: 'Not Found',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  508: 'Loop Detected',
};
