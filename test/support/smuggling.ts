/**
 * Attempts to make an upstream see a request that was not sent to it: `GET /smuggled`. Each is the bytes of one
 * downstream connection; a strict reader finds a complete message at their end, or something that must be rejected.
 */

export interface Attempt {
  readonly name: string;
  /** As latin1. */
  readonly raw: string;
}

/** A target that no upstream may see unless a strict reader of the same bytes sees it too. */
export const SMUGGLED = '/smuggled';
const REQUEST = `GET ${SMUGGLED} HTTP/1.1\r\nHost: evil.example\r\n\r\n`;
const IN_CHUNKS = `${REQUEST.length.toString(16)}\r\n${REQUEST}\r\n0\r\n\r\n`;
const BEHIND_CHUNKS = `0\r\n\r\n${REQUEST}`;

const CODING = 'Transfer-Encoding: chunked\r\n';

/** A framing field in disguise: one reader recognises it, another does not. */
type Disguise = readonly [name: string, lines: (name: string, value: string) => string];

const DISGUISES: readonly Disguise[] = [
  ['plain', (name, value) => `${name}: ${value}`],
  ['in lower case', (name, value) => `${name.toLowerCase()}: ${value.toUpperCase()}`],
  ...[' ', '\t', '\0', '\v', '\f', '\x85', '\xa0', '\r', '\n'].flatMap((octet): Disguise[] => {
    const shown = JSON.stringify(octet);
    return [
      [`${shown} before its colon`, (name, value) => `${name}${octet}: ${value}`],
      [`${shown} before its name`, (name, value) => `${octet}${name}: ${value}`],
      [`${shown} before its value`, (name, value) => `${name}:${octet}${value}`],
      [`${shown} behind its value`, (name, value) => `${name}: ${value}${octet}`],
      [`${shown} and more behind its value`, (name, value) => `${name}: ${value}${octet}x`],
      [`behind ${shown} in another field`, (name, value) => `X: y${octet}${name}: ${value}`],
      [`before ${shown} in another field`, (name, value) => `X: y\r\n${name}: ${value}${octet}X: y`],
    ];
  }),
  ['with _', (name, value) => `${name.replace('-', '_')}: ${value}`],
  ['in quotes', (name, value) => `${name}: "${value}"`],
  ['in single quotes', (name, value) => `${name}: '${value}'`],
  ['with a parameter', (name, value) => `${name}: ${value};q=1`],
  ['with a sign', (name, value) => `${name}: +${value}`],
  ['with a zero', (name, value) => `${name}: 0${value}`],
  ['with a letter before it', (name, value) => `${name}: x${value}`],
  ['with a letter behind it', (name, value) => `${name}: ${value}x`],
  ['with a comma before it', (name, value) => `${name}: ,${value}`],
  ['with a comma behind it', (name, value) => `${name}: ${value},`],
  ['before another', (name, value) => `${name}: ${value}, identity`],
  ['behind another', (name, value) => `${name}: identity, ${value}`],
  ['before 0', (name, value) => `${name}: ${value}, 0`],
  ['behind 0', (name, value) => `${name}: 0, ${value}`],
  ['in a line before another', (name, value) => `${name}: ${value}\r\n${name}: identity`],
  ['in a line behind another', (name, value) => `${name}: identity\r\n${name}: ${value}`],
  ['twice', (name, value) => `${name}: ${value}\r\n${name}: ${value}`],
  ['twice, once with _', (name, value) => `${name}: ${value}\r\n${name.replace('-', '_')}: ${value}`],
  ['folded', (name, value) => `${name}:\r\n ${value}`],
  ['folded by a tab', (name, value) => `${name}:\r\n\t${value}`],
  ['folded by LF', (name, value) => `${name}:\n ${value}`],
  ['in a fold of another', (name, value) => `X: y\r\n ${name}: ${value}`],
  ['after a line that is not a field', (name, value) => `nonsense\r\n${name}: ${value}`],
  ['behind a field without a name', (name, value) => `: y\r\n${name}: ${value}`],
  ['without a colon', (name, value) => `${name} ${value}`],
  ['nominated', (name, value) => `Connection: ${name}\r\n${name}: ${value}`],
  ['nominated behind', (name, value) => `${name}: ${value}\r\nConnection: keep-alive, ${name.toLowerCase()}`],
  ['nominated with _', (name, value) => `Connection: ${name.replace('-', '_')}\r\n${name}: ${value}`],
  ['announced as a trailer', (name, value) => `Trailer: ${name}\r\n${name}: ${value}`],
];

/** Octets that some readers treat as a line ending or as whitespace. */
const ENDS = ['\n', '\r', '\r\n', '\n\r', '\0', '\v', '\f', '\x85', '\xa0', '\r\r\n'];

/** Where a downstream can put arbitrary text in a head. */
const PLACES: readonly (readonly [name: string, head: (text: string) => string])[] = [
  ['the target', (text) => `GET /a${text} HTTP/1.1\r\nHost: a.example\r\n\r\n`],
  ['an absolute target', (text) => `GET http://a.example/${text} HTTP/1.1\r\nHost: a.example\r\n\r\n`],
  ['the host of a target', (text) => `GET http://a.example${text}/ HTTP/1.1\r\nHost: a.example\r\n\r\n`],
  ['the version', (text) => `GET /a HTTP/1.1${text}\r\nHost: a.example\r\n\r\n`],
  ['Host', (text) => `GET /a HTTP/1.1\r\nHost: a.example${text}\r\n\r\n`],
  ['a value', (text) => `GET /a HTTP/1.1\r\nHost: a.example\r\nX: y${text}\r\n\r\n`],
  ['a name', (text) => `GET /a HTTP/1.1\r\nHost: a.example\r\nX${text}: y\r\n\r\n`],
  ['Connection', (text) => `GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive${text}\r\n\r\n`],
  ['Upgrade', (text) => `GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: x${text}\r\n\r\n`],
  ['Expect', (text) => `GET /a HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue${text}\r\n\r\n`],
  ['X-Forwarded-For', (text) => `GET /a HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 1.2.3.4${text}\r\n\r\n`],
  ['Via', (text) => `GET /a HTTP/1.1\r\nHost: a.example\r\nVia: 1.1 x${text}\r\n\r\n`],
  ['the Connection option that it nominates', (text) => {
    return `GET /a HTTP/1.1\r\nHost: a.example\r\nConnection: close${text}\r\nX: y${text}\r\n\r\n`;
  }],
];

/** Chunk sizes that readers differ on, each for the five octets of `hello`. */
const SIZES = [
  '0x5', '0X5', '+5', '-5', ' 5', '\t5', '5 ', '5\t', '5\v', '10000000000000005', '00000000000000000005',
  '5;a=b\n', '5;\n', '5;a="\n"', '5;a\rb', '5;a\0b', '5\n;a', '5\r', '5\0', '5;\x85', '5;a b', '5 ;a', '5; a', '5x',
  '5,5', '05', '5;a=b', '5;', '',
];

/** What may follow the data of a chunked body. */
const ENDINGS: readonly (readonly [name: string, ending: string])[] = [
  ['a request as a trailer', `0\r\n${REQUEST}`],
  ['a request as a trailer with a colon', `0\r\nGET: ${SMUGGLED} HTTP/1.1\r\nHost: x\r\n\r\n`],
  ['a request behind LF', `0\r\nX: y\n\n${REQUEST}\r\n\r\n`],
  ['a request behind CR', `0\r\nX: y\r\r${REQUEST}\r\n\r\n`],
  ['a request behind NUL', `0\r\nX: y\0\0${REQUEST}\r\n\r\n`],
  ['a last chunk that ends with LF', `0\n\n${REQUEST}`],
  ['a last chunk that ends with CR', `0\r\r${REQUEST}`],
  ['a last chunk and LF', `0\r\n\n${REQUEST}`],
  ['a last chunk with an extension of LF', `0;\n\n${REQUEST}`],
  ['a last chunk of many zeros', `${'0'.repeat(40)}\r\n\r\n${REQUEST}`],
  ['a last chunk with 0x', `0x0\r\n\r\n${REQUEST}`],
  ['a last chunk with a sign', `-0\r\n\r\n${REQUEST}`],
  ['a last chunk of 2^64', `10000000000000000\r\n\r\n${REQUEST}`],
  ['Content-Length as a trailer', `0\r\nContent-Length: ${REQUEST.length}\r\n\r\n${REQUEST}`],
  ['Content_Length as a trailer', `0\r\nContent_Length: ${REQUEST.length}\r\n\r\n${REQUEST}`],
  ['Transfer-Encoding as a trailer', `0\r\nTransfer-Encoding: chunked\r\n\r\n${REQUEST}`],
  ['a folded trailer', `0\r\nX: y\r\n Content-Length: 9\r\n\r\n${REQUEST}`],
  ['a trailer with a space before its colon', `0\r\nX : y\r\n\r\n${REQUEST}`],
  ['data behind a chunk', `2\r\nhixx${REQUEST}\r\n0\r\n\r\n`],
  ['two octets behind a chunk', `2\r\nhixx0\r\n\r\n${REQUEST}`],
  ['LF behind a chunk', `2\r\nhi\n0\r\n\r\n${REQUEST}`],
  ['nothing behind a chunk', `2\r\nhi0\r\n\r\n${REQUEST}`],
];

function post(lines: string, body: string, method = 'POST'): string {
  return `${method} /a HTTP/1.1\r\nHost: a.example\r\n${lines}\r\n${body}`;
}

function coded(): Attempt[] {
  // A TE.CL body: a reader that goes by the length sees only a size line.
  const size = IN_CHUNKS.indexOf('\r\n') + 2;
  return DISGUISES.flatMap(([name, lines]) => {
    const coding = `${lines('Transfer-Encoding', 'chunked')}\r\n`;
    const length = `Content-Length: ${BEHIND_CHUNKS.length}\r\n`;
    return [
      { name: `CL.TE, the coding ${name}`, raw: post(length + coding, BEHIND_CHUNKS) },
      { name: `TE.CL, the coding ${name}`, raw: post(`${coding}Content-Length: ${size}\r\n`, IN_CHUNKS) },
      { name: `TE.0, the coding ${name}`, raw: post(coding, BEHIND_CHUNKS) },
      { name: `TE.TE, the coding ${name}`, raw: post(`Transfer-Encoding: chunked\r\n${coding}`, BEHIND_CHUNKS) },
    ];
  });
}

function measured(): Attempt[] {
  return DISGUISES.flatMap(([name, lines]) => {
    const none = `${lines('Content-Length', '0')}\r\n`;
    const all = `${lines('Content-Length', `${REQUEST.length}`)}\r\n`;
    const length = `Content-Length: ${REQUEST.length}\r\n`;
    return [
      { name: `CL.CL, the second ${name}`, raw: post(length + none, REQUEST) },
      { name: `CL.CL, the first ${name}`, raw: post(none + length, REQUEST) },
      { name: `CL.0, the length ${name}`, raw: post(all, REQUEST) },
      { name: `0.CL, the length ${name}`, raw: post(`Content-Length: 0\r\n${all}`, REQUEST) },
    ];
  });
}

function injected(): Attempt[] {
  return PLACES.flatMap(([place, head]) => ENDS.flatMap((end) => {
    const shown = JSON.stringify(end);
    const coding = `${end}Transfer-Encoding: chunked${end}X: `;
    return [
      {
        name: `a request behind ${shown} in ${place}`,
        raw: head(`${end}${end}GET ${SMUGGLED} HTTP/1.1${end}Host: evil.example${end}${end}`) + REQUEST,
      },
      { name: `a coding behind ${shown} in ${place}`, raw: head(coding) + BEHIND_CHUNKS },
    ];
  }));
}

function inBodies(): Attempt[] {
  const methods = ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'TRACE'];
  const switches = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n';
  const toHttp2 = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
  const length = `Content-Length: ${REQUEST.length}\r\n`;
  return [
    ...methods.flatMap((method) => [
      { name: `CL.0 of ${method}`, raw: post(length, REQUEST, method) },
      { name: `TE.0 of ${method}`, raw: post(CODING, IN_CHUNKS, method) },
      { name: `behind ${method}`, raw: post('', REQUEST, method) },
    ]),
    { name: 'behind an upgrade', raw: post(switches, REQUEST, 'GET') },
    { name: 'in the body of an upgrade', raw: post(switches + length, REQUEST) },
    { name: 'behind an upgrade to HTTP/2', raw: post(toHttp2, REQUEST, 'GET') },
    { name: 'in a body that is expected', raw: post(`Expect: 100-continue\r\n${length}`, REQUEST) },
    { name: 'in a body that GET expects', raw: post(`Expect: 100-continue\r\n${length}`, REQUEST, 'GET') },
    { name: 'behind an unknown expectation', raw: post(`Expect: x\r\n${length}`, REQUEST) },
    { name: 'behind Connection: close', raw: post('Connection: close\r\n', REQUEST) },
    { name: 'behind CONNECT', raw: `CONNECT a.example:80 HTTP/1.1\r\nHost: a.example\r\n\r\n${REQUEST}` },
    { name: 'behind HTTP/1.0', raw: `GET /a HTTP/1.0\r\n\r\n${REQUEST}` },
    { name: 'behind chunks in HTTP/1.0', raw: post(CODING, BEHIND_CHUNKS).replace('HTTP/1.1', 'HTTP/1.0') },
    { name: 'behind HTTP/0.9', raw: `GET /a\r\n\r\n${REQUEST}` },
    { name: 'encoded in the target', raw: post('', '').replace('/a', '/a%20HTTP/1.1%0d%0aHost:x%0d%0a%0d%0a') },
    ...[' ', '\t', '\v', '\f', '\x85', '\xa0', '  '].map((blank) => ({
      name: `a request line split by ${JSON.stringify(blank)}`,
      raw: `GET${blank}${SMUGGLED}${blank}HTTP/1.1\r\nHost: a.example\r\n\r\n`,
    })).filter(({ raw }) => !raw.startsWith(`GET ${SMUGGLED} `)),
  ];
}

function inChunks(): Attempt[] {
  return [
    ...SIZES.map((size) => ({
      name: `a chunk of size ${JSON.stringify(size)}`,
      raw: post(CODING, `${size}\r\nhello\r\n${BEHIND_CHUNKS}`),
    })),
    ...SIZES.map((size) => ({
      name: `a request in a chunk of size ${JSON.stringify(size)}`,
      raw: post(CODING, `${size.replace('5', REQUEST.length.toString(16))}\r\n${REQUEST}\r\n0\r\n\r\n`),
    })),
    ...ENDINGS.map(([name, ending]) => ({ name, raw: post(CODING, ending) })),
  ];
}

/** All attempts, by kind. */
export const ATTEMPTS: Readonly<Record<string, readonly Attempt[]>> = {
  'a transfer coding in disguise': coded(),
  'a length in disguise': measured(),
  'text that ends a line': injected(),
  'a body': inBodies(),
  'chunks': inChunks(),
};
