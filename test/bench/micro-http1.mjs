/** The pieces of the wire format, each called as the fronts, the exchange and the upstream connections call it. */
import { BodyReader } from '../../dist/src/http1/body.js';
import { requestTrailers } from '../../dist/src/http1/fields.js';
import { forwardingFields } from '../../dist/src/http1/forwarding.js';
import { CHUNKED, LENGTH } from '../../dist/src/http1/framing.js';
import { RequestHead } from '../../dist/src/http1/request.js';
import { ResponseHead } from '../../dist/src/http1/response.js';
import { requestHead, responseHead } from '../../dist/src/http1/serialise.js';
import { MessageWriter } from '../../dist/src/streams/message-writer.js';
import { parseOptions } from '../../dist/src/options/parse.js';

const rules = parseOptions({ upstreams: ['http://10.0.0.1'] });
const hop = { address: '127.0.0.1', proto: 'http', trusted: false };
const date = 'Thu, 01 Jan 1970 00:00:00 GMT';
const chunk = 'x'.repeat(1024);
const chunks = 16;
/** Where a socket would copy what is written. */
const wire = Buffer.alloc(65_536);
const sink = {
  writableLength: 0,
  destroyed: false,
  cork() {},
  uncork() {},
  on() {},
  write(data, encoding) {
    if (typeof data === 'string') wire.write(data, 0, encoding);
    return true;
  },
};

const requests = { small: requestOf(5), '20 fields': requestOf(20), '60 fields': requestOf(60) };
const responses = { small: responseOf(8), '20 fields': responseOf(20) };

/** Lists of a name, what makes the operation, and how many of these one call does. */
export const http1 = [
  ...each(requests, 'request head, parse', parseRequest),
  ...each(requests, 'request head, parse and write', passRequest),
  ...each(responses, 'response head, parse', parseResponse),
  ...each(responses, 'response head, parse and write', passResponse),
  ['body of a length, read', readLength],
  ['chunk of 1 KiB, read, one at a time', readChunk],
  [`chunk of 1 KiB, read, ${chunks} at a time`, readChunks, chunks],
  ['chunk of 1 KiB, write', writeChunk],
];

function each(heads, what, make) {
  return Object.entries(heads).map(([name, bytes]) => [`${what}, ${name}`, () => make(bytes)]);
}

function requestOf(fields) {
  const lines = ['Host: bench.example', 'User-Agent: micro', 'Accept: */*', 'Accept-Encoding: gzip, br',
    'Accept-Language: en'];
  return headOf('GET /some/path?query=1 HTTP/1.1', lines, fields);
}

function responseOf(fields) {
  const lines = ['Server: nginx', `Date: ${date}`, 'Content-Type: text/plain', 'Content-Length: 100',
    'Connection: keep-alive', 'Cache-Control: public, max-age=60', 'ETag: "5f3c-19a2b"', 'Vary: Accept-Encoding'];
  return headOf('HTTP/1.1 200 OK', lines, fields);
}

function headOf(first, lines, fields) {
  while (lines.length < fields) lines.push(`X-Field-${lines.length}: some 32 octets of a field value.`);
  return Buffer.from(`${[first, ...lines].join('\r\n')}\r\n\r\n`, 'latin1');
}

/** From the bytes of a read to the parsed head. */
function parseRequest(bytes) {
  const head = new RequestHead();
  return sound(bytes, () => head.parse(bytes, bytes.length, rules));
}

/** And on to the bytes of a write. Both in one: the write collects the fields that are passed on. */
function passRequest(bytes) {
  const head = new RequestHead();
  return () => {
    head.parse(bytes, bytes.length, rules);
    return wire.write(requestHead(head, head.host, forwardingFields(head, hop, rules)), 0, 'latin1');
  };
}

function parseResponse(bytes) {
  const head = new ResponseHead();
  return sound(bytes, () => head.parse(bytes, bytes.length, 'GET', rules));
}

function passResponse(bytes) {
  const head = new ResponseHead();
  return () => {
    head.parse(bytes, bytes.length, 'GET', rules);
    return wire.write(responseHead(head, LENGTH, 1, true, date), 0, 'latin1');
  };
}

/** A head that is refused would be measured as a fast one. */
function sound(bytes, operation) {
  if (operation() !== bytes.length) throw new Error(`refused: ${bytes.toString('latin1')}`);
  return operation;
}

function readLength() {
  const body = new BodyReader(rules, requestTrailers);
  const bytes = Buffer.from(chunk);
  return () => {
    body.start(LENGTH, bytes.length);
    return body.read(bytes, 0, bytes.length);
  };
}

function readChunk() {
  const body = new BodyReader(rules, requestTrailers);
  const bytes = Buffer.from(`400\r\n${chunk}\r\n`);
  body.start(CHUNKED, 0);
  return () => body.read(bytes, 0, bytes.length);
}

/** Data is moved together in place, so each read needs fresh bytes, as from the kernel. */
function readChunks() {
  const body = new BodyReader(rules, requestTrailers);
  const fresh = Buffer.from(`400\r\n${chunk}\r\n`.repeat(chunks));
  const bytes = Buffer.alloc(fresh.length);
  body.start(CHUNKED, 0);
  return () => {
    fresh.copy(bytes);
    return body.read(bytes, 0, bytes.length);
  };
}

function writeChunk() {
  const writer = new MessageWriter(sink, { drained() {} });
  const bytes = Buffer.from(chunk);
  writer.begin('', CHUNKED);
  return () => {
    writer.data(bytes, 0, bytes.length);
    return writer.flush() ? 1 : 0;
  };
}
