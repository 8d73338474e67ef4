import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { byByte } from './pieces.ts';
import { RequestsFuzz } from './requests.ts';
import { ResponsesFuzz } from './responses.ts';

interface Regression {
  readonly name: string;
  readonly text: string;
  /** What went wrong, or nearly. */
  readonly why: string;
}

interface RequestRegression extends Regression {
  /** The targets of the requests that are forwarded. */
  readonly forwarded: readonly string[];
}

interface ResponseRegression extends Regression {
  readonly method?: 'GET' | 'HEAD';
  readonly upgrade?: true;
  /** The status that is passed on, or undefined where the response is refused. */
  readonly passed: number | undefined;
  /** Whether the upstream's connection is kept. */
  readonly kept: boolean;
}

const host = 'Host: a.example\r\n';
const next = `GET /next HTTP/1.1\r\n${host}\r\n`;

const REQUESTS: readonly RequestRegression[] = [
  {
    name: 'a target beyond ASCII',
    text: `GET /\xe9 HTTP/1.1\r\n${host}\r\n${next}`,
    forwarded: [],
    why: 'Node refuses it; we forwarded it',
  },
  {
    name: 'a tab behind a Content-Length',
    text: `POST / HTTP/1.1\r\n${host}Content-Length: 5\t\r\n\r\nhello${next}`,
    forwarded: [],
    why: 'Node refuses it, though RFC 9110 §5.5 lets spaces stand around a value; we forwarded it',
  },
  {
    name: 'Proxy-Connection: close, and a request behind it',
    text: `GET / HTTP/1.1\r\n${host}Proxy-Connection: close\r\n\r\n${next}`,
    forwarded: ['/'],
    why: 'Node obeys it as it does Connection, and refuses what follows; we dropped it, and forwarded what follows',
  },
  {
    name: 'Connection: close among the trailers, and a request behind them',
    text: `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\nConnection: close\r\n\r\n${next}`,
    forwarded: [],
    why: 'Node obeys it, and refuses what follows; we dropped it, and forwarded what follows',
  },
  {
    name: 'Connection: keep-alive with a tab behind it, in HTTP/1.0, and a request behind that',
    text: `GET / HTTP/1.0\r\nConnection: keep-alive\t\r\n\r\n${next}`,
    forwarded: ['/'],
    why: 'Node does not know the option with a tab, so it closes; we kept the connection',
  },
  {
    name: 'an empty Expect',
    text: `GET / HTTP/1.1\r\n${host}Expect:\r\n\r\n`,
    forwarded: [],
    why: 'Node answers it with 417; we took an empty expectation for none',
  },
  {
    name: 'an empty Max-Forwards, and another one',
    text: `TRACE / HTTP/1.1\r\n${host}Max-Forwards:\r\nMax-Forwards: 1\r\n\r\n${next}`,
    forwarded: ['/next'],
    why: 'two of them are malformed, as one would be; we took the empty one for none',
  },
  {
    name: 'PRI as a method of HTTP/1.0',
    text: 'PRI / HTTP/1.0\r\n\r\n',
    forwarded: [],
    why: 'it is no method that Node does not know but the start of HTTP/2, which Node waits for; we forwarded it',
  },
];

const RESPONSES: readonly ResponseRegression[] = [
  {
    name: 'more behind a response',
    text: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    passed: 200,
    kept: false,
    why: 'the next request would be answered with it',
  },
  {
    name: 'a line end behind a response',
    text: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\r\n',
    passed: 200,
    kept: false,
    why: 'Node skips it; a connection with anything on it is not clean',
  },
  {
    name: 'a response to HEAD without a length',
    text: 'HTTP/1.1 200 OK\r\n\r\n',
    method: 'HEAD',
    passed: 200,
    kept: true,
    why: 'Node closes behind it, since its parser hears too late that no body follows; by RFC 9112 §6.3 it is whole',
  },
  {
    name: 'Proxy-Connection: close',
    text: 'HTTP/1.1 200 OK\r\nProxy-Connection: close\r\nContent-Length: 0\r\n\r\n',
    passed: 200,
    kept: false,
    why: 'Node obeys it as it does Connection; we dropped it, and kept the connection',
  },
  {
    name: 'an interim response of HTTP/1.0',
    text: 'HTTP/1.0 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    passed: undefined,
    kept: false,
    why: 'it ends the connection to Node, which refuses what follows; we passed that on',
  },
  {
    name: 'an interim response with Connection: close',
    text: 'HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
    passed: undefined,
    kept: false,
    why: 'it ends the connection to Node, which refuses what follows; we passed that on',
  },
  {
    name: '101 with a tab behind Connection: Upgrade',
    text: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\t\r\nUpgrade: websocket\r\n\r\nhello',
    upgrade: true,
    passed: undefined,
    kept: false,
    why: 'Node does not know the option with a tab, so nothing was switched; we opened a tunnel',
  },
];

describe('requests that were, or might be, read differently from Node', () => {
  const fuzz = new RequestsFuzz();
  after(() => fuzz.close());
  for (const { name, text, forwarded, why } of REQUESTS) {
    test(name, async () => {
      for (const pieces of [[text], byByte(text)]) {
        for (const eager of [true, false]) {
          const { saw, ...judgement } = await fuzz.judge({ pieces, eager });
          assert.ok(!('fault' in judgement), `${why}: ${JSON.stringify({ judgement, saw })}`);
          assert.deepEqual(saw.ours.messages.map(({ target }) => target), forwarded, why);
        }
      }
    });
  }
});

describe('requests to upgrade, behind node:http, that were read differently from Node', () => {
  const fuzz = new RequestsFuzz('node:http');
  after(() => fuzz.close());
  const head = `POST /a HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: h2c\r\n`;
  for (const [name, text, forwarded] of [
    // Node 25 and later have read the body; we took what follows it for the body.
    ['chunks behind an empty chunked body', `${head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n1\r\na\r\n0\r\n\r\n`],
    ['a byte behind one that closes', `${head}Proxy-Connection: close\r\nContent-Length: 1\r\n\r\nax`],
    ['a request behind a body', `${head}Content-Length: 1\r\n\r\na${next}`, ['/a', '/next']],
    ['a malformed chunk', `${head}Transfer-Encoding: chunked\r\n\r\n1\n`, []],
    // The comparison took the tab out of the body.
    [
      'what looks like a head in a chunk',
      `${head}Transfer-Encoding: chunked\r\n\r\n18\r\nConnection: Upgrade\t\r\n\r\n\r\n`,
    ],
  ] as const) {
    test(name, async () => {
      const { saw, ...judgement } = await fuzz.judge({ pieces: [text], eager: false });
      assert.ok(!('fault' in judgement), JSON.stringify({ judgement, saw }));
      if (forwarded !== undefined) assert.deepEqual(saw.ours.messages.map(({ target }) => target), forwarded);
    });
  }
});

describe('responses that were, or might be, read differently from Node', () => {
  const fuzz = new ResponsesFuzz();
  after(() => fuzz.close());
  for (const { name, text, method = 'GET', upgrade = false, passed, kept, why } of RESPONSES) {
    test(name, async () => {
      for (const pieces of [[text], byByte(text)]) {
        const { saw, ...judgement } = await fuzz.judge({ pieces, method, minor: 1, upgrade, expect: false });
        assert.ok(!('fault' in judgement), `${why}: ${JSON.stringify({ judgement, saw })}`);
        assert.deepEqual([saw.ours.after.response?.status, saw.ours.kept], [passed, kept], why);
      }
    });
  }
});
