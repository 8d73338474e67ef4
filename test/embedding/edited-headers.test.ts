import assert from 'node:assert/strict';
import http, { type IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import { describe, test, type TestContext } from 'node:test';
import express from 'express';
import { startBalancer, type TestOptions } from '../support/balancer.ts';
import { get, post, type Response } from '../support/client.ts';
import { behind, type FrontKind, serve, UNTIMED } from '../support/fronts.ts';
import { atEnd } from '../support/scope.ts';
import { echo, request, response, startUpstream } from '../support/upstream.ts';
import { within } from '../support/wait.ts';

type Edit = (headers: Record<string, unknown>, request: IncomingMessage) => void;
type Lines = [name: string, value: string][];

/** The lines that the upstream gets, without the balancer's own. */
const OURS = new Set(['host', 'via', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host']);

interface Seen {
  readonly answer: Response;
  /** What the upstream got; undefined if it got no request. */
  readonly lines: Lines | undefined;
  readonly head: (name: string) => string | undefined;
  readonly body: string | undefined;
  readonly reports: readonly string[];
  readonly messages: readonly string[];
}

async function through(
  t: TestContext, bytes: string | Buffer, front: FrontKind, options: Partial<TestOptions> = {},
): Promise<Seen> {
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, { upstreams: [upstream], front, ...options });
  const answer = await (await under.connect()).exchange(bytes);
  const [got] = upstream.requests;
  return {
    answer,
    lines: got?.head.fields.filter(([name]) => !OURS.has(name.toLowerCase())) as Lines | undefined,
    head: (name) => got?.head.get(name),
    body: got?.body.bytes.toString(),
    reports: under.reports,
    messages: under.errors.map(({ message }) => message),
  };
}

const edits = (edit: Edit, options?: http.ServerOptions, prepare?: (server: http.Server) => void): FrontKind => {
  return behind((asked) => {
    edit(asked.headers, asked);
  }, options, prepare);
};

const FIELDS = 'X-One: 1\r\nX-Internal: yes\r\nCookie: a=b\r\nX-One: 2\r\nCookie: c=d\r\n'
  + 'x-INTERNAL: too\r\nX-Last:\r\n';
const UNTOUCHED: Lines = [
  ['X-One', '1'], ['X-Internal', 'yes'], ['Cookie', 'a=b'], ['X-One', '2'], ['Cookie', 'c=d'], ['x-INTERNAL', 'too'],
  ['X-Last', ''],
];

describe('edits of request.headers by middleware', () => {
  const cases: [name: string, edit: Edit, expected: Lines][] = [
    ['nothing: each line as it came', () => undefined, UNTOUCHED],
    ['a look alone', (headers) => JSON.stringify(headers), UNTOUCHED],
    ['the same value again', (headers) => {
      headers['x-one'] = '1, 2';
      headers['cookie'] = 'a=b; c=d';
    }, UNTOUCHED],
    ['deleted: gone in every spelling', (headers) => delete headers['x-internal'],
      UNTOUCHED.filter(([name]) => name.toLowerCase() !== 'x-internal')],
    ['undefined: gone', (headers) => {
      headers['x-internal'] = undefined;
    }, UNTOUCHED.filter(([name]) => name.toLowerCase() !== 'x-internal')],
    ['changed: sent once, where its first line stood', (headers) => {
      headers['cookie'] = 'e=f';
    }, [['X-One', '1'], ['X-Internal', 'yes'], ['Cookie', 'e=f'], ['X-One', '2'], ['x-INTERNAL', 'too'],
      ['X-Last', '']]],
    ['of two lines, the first alone', (headers) => {
      headers['x-one'] = '1';
    }, [['X-One', '1'], ['X-Internal', 'yes'], ['Cookie', 'a=b'], ['Cookie', 'c=d'], ['x-INTERNAL', 'too'],
      ['X-Last', '']]],
    ['added: sent once, at the end', (headers) => {
      headers['x-user'] = 'alice';
      headers['X-Role'] = 'admin';
    }, [...UNTOUCHED, ['x-user', 'alice'], ['X-Role', 'admin']]],
    ['added as a list: a line each', (headers) => {
      headers['x-user'] = ['alice', 'bob'];
    }, [...UNTOUCHED, ['x-user', 'alice'], ['x-user', 'bob']]],
    ['added as a number', (headers) => {
      headers['x-level'] = 7;
    }, [...UNTOUCHED, ['x-level', '7']]],
    ['set by another spelling: it replaces the downstream\'s', (headers) => {
      headers['X-INTERNAL'] = 'no';
    }, [['X-One', '1'], ['X-Internal', 'no'], ['Cookie', 'a=b'], ['X-One', '2'], ['Cookie', 'c=d'], ['X-Last', '']]],
    ['replaced as a whole', (_, asked) => {
      asked.headers = { 'x-one': '1, 2', 'x-new': 'n' };
    }, [['X-One', '1'], ['X-One', '2'], ['x-new', 'n']]],
    ['framing and hop-by-hop: no effect', (headers) => {
      headers['content-length'] = '5';
      headers['transfer-encoding'] = 'chunked';
      headers['connection'] = 'x-one';
      headers['te'] = 'trailers';
      headers['upgrade'] = 'websocket';
      headers['keep-alive'] = 'timeout=5';
      headers['expect'] = 'nothing';
    }, UNTOUCHED],
    ['members that it inherits are none of its own', (_, asked) => {
      asked.headers = Object.assign(Object.create({ 'x-inherited': '1' }) as object, asked.headers);
    }, UNTOUCHED],
  ];
  for (const [name, edit, expected] of cases) {
    test(name, async (t) => {
      const { answer, lines, reports } = await through(t, get('/', FIELDS), edits(edit));
      assert.equal(answer.text, '/');
      assert.deepEqual(lines, expected);
      assert.deepEqual(reports, []);
    });
  }

  test('edits of a framing header do not change the framing', async (t) => {
    const { body, head } = await through(t, post('/', 'hello', 'X-A: 1\r\n'), edits((headers) => {
      headers['content-length'] = '2';
      delete headers['x-a'];
    }));
    assert.equal(body, 'hello');
    assert.equal(head('content-length'), '5');
    assert.equal(head('x-a'), undefined);
  });

  test('a name with _ for - does not count as the edited one', async (t) => {
    const posing = 'X_User: admin\r\nX_Internal: 1\r\nX_Other: 2\r\n';
    const { lines } = await through(t, get('/', posing), edits((headers) => {
      delete headers['x-internal'];
      headers['x-user'] = 'alice';
    }));
    assert.deepEqual(lines, [['X_Internal', '1'], ['X_Other', '2'], ['x-user', 'alice']]);
  });

  test('nor as one left unchanged, nor does one with - count as one that was set', async (t) => {
    const posing = 'X-User: alice\r\nX_User: admin\r\nX_Other: 2\r\nX-Role: admin\r\n';
    const { lines: left } = await through(t, get('/', posing), edits((headers) => {
      headers['x-user'] = 'alice';
    }));
    assert.deepEqual(left, [['X-User', 'alice'], ['X_Other', '2'], ['X-Role', 'admin']]);
    const { lines: set } = await through(t, get('/', posing), edits((headers) => {
      headers['x_role'] = 'guest';
      // Removing one spelling removes nothing else.
      delete headers['x_user'];
    }));
    assert.deepEqual(set, [['X-User', 'alice'], ['X_Other', '2'], ['x_role', 'guest']]);
  });

  test('names that would frame a message change nothing, even with _ for -', async (t) => {
    const { answer, lines } = await through(t, get('/', 'X-One: 1\r\n'), edits((headers) => {
      headers['content_length'] = '5';
      headers['transfer_encoding'] = 'chunked';
    }));
    assert.equal(answer.status, 200);
    assert.deepEqual(lines, [['X-One', '1']]);
  });

  test('the downstream cannot nominate away what was added', async (t) => {
    const fields = 'Connection: keep-alive, X-User, x-gone\r\nX-Gone: 1\r\nX-User: admin\r\n';
    const { lines } = await through(t, get('/', fields), edits((headers) => {
      headers['x-user'] = 'alice';
    }));
    assert.deepEqual(lines, [['X-User', 'alice']]);
  });

  test('what was edited does not come back in a trailer', async (t) => {
    const upstream = await startUpstream(t, echo);
    const under = await startBalancer(t, { upstreams: [upstream], front: edits((headers) => {
      delete headers['x-internal'];
      headers['x-user'] = 'alice';
    }) });
    const trailers = 'X-Internal: 1\r\nX_Internal: 2\r\nX-User: admin\r\nX_USER: admin\r\nX-Sum: 3\r\nX-One: 4\r\n';
    const head = get('/', 'Transfer-Encoding: chunked\r\nX-Internal: 0\r\nX-One: 1\r\n', 'POST');
    await (await under.connect()).exchange(`${head}1\r\na\r\n0\r\n${trailers}\r\n`);
    assert.equal(upstream.requests[0]?.body.trailers, 'X-Sum: 3\r\nX-One: 4\r\n');
  });

  test('an edited host counts', async (t) => {
    const { head } = await through(t, get(), edits((headers) => {
      headers['host'] = 'other.test:81';
    }));
    assert.equal(head('host'), 'other.test:81');
    assert.equal(head('x-forwarded-host'), 'other.test:81');
  });

  test('an edited host takes precedence over the target', async (t) => {
    const bytes = 'GET http://first.test/a?b HTTP/1.1\r\nHost: first.test\r\n\r\n';
    const { answer, head } = await through(t, bytes, edits((headers) => {
      headers['host'] = 'other.test';
    }));
    assert.equal(answer.text, '/a?b');
    assert.equal(head('host'), 'other.test');
  });

  test('a deleted host changes nothing', async (t) => {
    const { head } = await through(t, get(), edits((headers) => delete headers['host']));
    assert.equal(head('host'), 'example.test');
  });

  test('two Host fields stay malformed', async (t) => {
    const { answer, lines } = await through(t, get('/', 'Host: b.test\r\n'), edits((headers) => {
      headers['host'] = 'a.test';
    }, { insecureHTTPParser: true }));
    assert.equal(answer.status, 400);
    assert.equal(lines, undefined);
  });

  for (const trustForwarded of [false, true]) {
    test(`X-Forwarded-* counts as the downstream's, ${trustForwarded ? '' : 'not '}trusted`, async (t) => {
      const { head } = await through(t, get('/', 'X-Forwarded-For: 6.6.6.6\r\n'), edits((headers) => {
        headers['x-forwarded-for'] = '7.7.7.7';
        headers['x-forwarded-proto'] = 'https';
      }), { trustForwarded });
      assert.equal(head('x-forwarded-for'), trustForwarded ? '7.7.7.7, 127.0.0.1' : '127.0.0.1');
      assert.equal(head('x-forwarded-proto'), trustForwarded ? 'https' : 'http');
    });
  }

  const forbidden: [what: string, name: string, value: unknown][] = [
    ['a line end', 'x-a', 'b\r\nX-Forged: 1'],
    ['a bare line feed', 'x-a', 'b\nc'],
    ['a NUL', 'x-a', 'b\0c'],
    ['what is beyond latin1', 'x-a', 'č'],
    ['a line end in a list', 'x-a', ['b', 'c\r\nd']],
    ['a name that is no token', 'x a', '1'],
    ['a name with a line end', 'x-a\r\nx-b', '1'],
    ['a name with a colon', 'x:a', '1'],
    ['an empty name', '', '1'],
    ['an object', 'x-a', { b: 1 }],
    ['a symbol', 'x-a', Symbol('b')],
    ['a host that is none', 'host', 'a b'],
    ['a host with a path', 'host', 'a/b'],
    ['two hosts', 'host', ['a', 'b']],
  ];
  for (const [what, name, value] of forbidden) {
    test(`forbidden: ${what} is 500, reported and never sent`, async (t) => {
      const { answer, lines, reports, messages } = await through(t, get('/', FIELDS), edits((headers) => {
        headers[name] = value;
      }));
      assert.equal(answer.status, 500);
      assert.equal(lines, undefined);
      assert.deepEqual(reports, ['REQUEST_UNSENDABLE']);
      assert.ok(messages[0]?.includes(JSON.stringify(name)), messages[0]);
    });
  }

  test('headers that throw when they are read are 500, reported', async (t) => {
    const { answer, lines, reports } = await through(t, get(), edits((_, asked) => {
      asked.headers = new Proxy({}, {
        ownKeys() {
          throw new Error('no');
        },
      });
    }));
    assert.equal(answer.status, 500);
    assert.equal(lines, undefined);
    assert.deepEqual(reports, ['REQUEST_UNSENDABLE']);
  });

  test('names of inherited object properties', async (t) => {
    const fields = '__proto__: 1\r\nconstructor: 2\r\n7: 3\r\ntoString: 4\r\n';
    const { lines } = await through(t, get('/', fields), edits((headers) => {
      headers['x-a'] = 'b';
    }));
    assert.deepEqual(lines, [['__proto__', '1'], ['constructor', '2'], ['7', '3'], ['toString', '4'], ['x-a', 'b']]);
  });

  test('in an upgrade', async (t) => {
    const upstream = await startUpstream(t, [[request, response('no')]]);
    const under = await startBalancer(t, { upstreams: [upstream], front: edits((headers) => {
      delete headers['x-internal'];
      headers['x-user'] = 'alice';
    }) });
    const client = await under.connect();
    await client.exchange(get('/', `${WEBSOCKET}${FIELDS}`));
    const head = upstream.requests[0]?.head;
    assert.equal(head?.get('upgrade'), 'websocket');
    assert.equal(head.get('x-internal'), undefined);
    assert.equal(head.get('x-user'), 'alice');
  });

  test('forbidden in an upgrade: 500, reported and never sent', async (t) => {
    const { answer, lines, reports } = await through(t, get('/', WEBSOCKET), edits((headers) => {
      headers['x-user'] = 'a\r\nb';
    }));
    assert.equal(answer.status, 500);
    assert.equal(lines, undefined);
    assert.deepEqual(reports, ['REQUEST_UNSENDABLE']);
  });
});

const WEBSOCKET = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
  + 'Sec-WebSocket-Version: 13\r\n';

describe('repeated headers as a server reads them', () => {
  const fields = 'Authorization: Basic a\r\nAuthorization: Basic b\r\nAccept: c\r\nAccept: d\r\nSet-Cookie: e\r\n';
  // Where the server does not join credentials, middleware has checked only the first line.
  const came = (joined: boolean): Lines => [
    ['Authorization', 'Basic a'], ...(joined ? [['Authorization', 'Basic b']] as Lines : []), ['Accept', 'c'],
    ['Accept', 'd'], ['Set-Cookie', 'e'],
  ];
  for (const [name, options] of [
    ['by default', {}], ['with joinDuplicateHeaders', { joinDuplicateHeaders: true }],
    ['with insecureHTTPParser', { insecureHTTPParser: true }], ['with uniqueHeaders', { uniqueHeaders: ['accept'] }],
  ] as const) {
    const expected = came('joinDuplicateHeaders' in options);
    test(`${name}: unedited, each line unchanged, even beside edits of others`, async (t) => {
      const first = await through(t, get('/', fields), edits(() => undefined, options as http.ServerOptions));
      assert.deepEqual(first.lines, expected);
      const second = await through(t, get('/', fields), edits((headers) => {
        headers['x-user'] = 'alice';
      }, options as http.ServerOptions));
      assert.deepEqual(second.lines, [...expected, ['x-user', 'alice']]);
    });
  }

  test('with maxHeadersCount: a line that no middleware could see is not sent', async (t) => {
    const bytes = post('/', 'hello', 'X-A: 1\r\nX-Internal: 1\r\n');
    const { answer, lines, body } = await through(t, bytes, edits((headers) => {
      delete headers['x-internal'];
    }, {}, (server) => {
      server.maxHeadersCount = 3;
    }));
    // Newer versions of Node refuse such a request themselves.
    if (answer.status === 431) return;
    assert.deepEqual(lines, [['X-A', '1'], ['Content-Length', '5']]);
    assert.equal(body, 'hello');
  });
});

describe('edits of request.rawHeaders alone by middleware', () => {
  const raw = (edit: (lines: string[]) => void): FrontKind => behind((asked) => {
    edit(asked.rawHeaders);
  });
  test('added lines are sent', async (t) => {
    const { lines } = await through(t, get('/', FIELDS), raw((all) => all.push('X-User', 'alice')));
    assert.deepEqual(lines, [...UNTOUCHED, ['X-User', 'alice']]);
  });

  test('removed lines are not', async (t) => {
    const { lines } = await through(t, get('/', FIELDS), raw((all) => {
      for (let i = all.length - 2; i >= 0; i -= 2) if (/^x-internal$/i.test(all[i] ?? '')) all.splice(i, 2);
    }));
    assert.deepEqual(lines, UNTOUCHED.filter(([name]) => name.toLowerCase() !== 'x-internal'));
  });

  for (const [what, name, value] of [
    ['a value with a line end', 'X-User', 'a\r\nX-Forged: 1'], ['a name with a colon', 'X-User: a, X', '1'],
    ['a value beyond latin1', 'X-User', 'č'],
  ] as const) {
    test(`forbidden: ${what} is 500, reported and never sent`, async (t) => {
      const { answer, lines, reports } = await through(t, get('/', FIELDS), raw((all) => all.push(name, value)));
      assert.equal(answer.status, 500);
      assert.equal(lines, undefined);
      assert.deepEqual(reports, ['REQUEST_UNSENDABLE']);
    });
  }

  test('forbidden in both, replacing the original: 500, reported and never sent', async (t) => {
    const { answer, lines, reports } = await through(t, get('/', 'X-A: 1\r\n'), behind((asked) => {
      const value = '1\r\nX-Forged: 1';
      asked.rawHeaders[asked.rawHeaders.indexOf('X-A') + 1] = value;
      asked.headers['x-a'] = value;
    }));
    assert.equal(answer.status, 500);
    assert.equal(lines, undefined);
    assert.deepEqual(reports, ['REQUEST_UNSENDABLE']);
  });

  test('beside edits of request.headers, the latter count', async (t) => {
    const { lines } = await through(t, get('/', FIELDS), behind((asked) => {
      asked.rawHeaders.push('X-Trace', '1');
      delete asked.headers['x-internal'];
      asked.headers['x-user'] = 'alice';
    }));
    assert.ok(lines?.every(([name]) => name.toLowerCase() !== 'x-internal'));
    assert.deepEqual(lines?.at(-1), ['x-user', 'alice']);
  });
});

test('HTTP/2: edits count, including cookies and the authority', async (t) => {
  const upstream = await startUpstream(t, echo);
  const edited: ((asked: http2.Http2ServerRequest) => void)[] = [
    () => undefined,
    ({ headers }) => {
      headers['x-user'] = 'alice';
      delete headers['x-internal'];
      headers.cookie = 'new=1';
      headers.connection = 'x-user';
    },
    ({ headers }) => {
      headers.host = 'other.test';
    },
    ({ headers }) => {
      headers[':authority'] = 'another.test';
    },
  ];
  const front: FrontKind = {
    name: 'h2c',
    open: (balancer) => serve(http2.createServer((asked, answer) => {
      edited[Number(asked.url.slice(1))]?.(asked);
      balancer.handle(asked, answer);
    })),
  };
  const under = await startBalancer(t, { upstreams: [upstream], front });
  const session = http2.connect(`http://127.0.0.1:${under.port}`);
  atEnd(t, () => {
    session.destroy();
  });
  for (let i = 0; i < edited.length; i++) {
    const stream = session.request({
      ':path': `/${i}`, cookie: ['a=b', 'c=d'], 'x-internal': '1', 'x-two': ['1', '2'],
    }, { endStream: true });
    await within(new Promise((resolve) => stream.resume().on('end', resolve)), () => 'a response');
  }
  const [first, second, third, fourth] = upstream.requests.map(({ head }) => head);
  assert.equal(first?.get('cookie'), 'a=b; c=d');
  assert.equal(first.get('x-two'), '1, 2');
  assert.equal(second?.get('cookie'), 'new=1');
  assert.equal(second.get('x-user'), 'alice');
  assert.equal(second.get('x-internal'), undefined);
  assert.equal(third?.get('host'), 'other.test');
  assert.equal(fourth?.get('host'), 'another.test');
});

test('Express: its middleware decides who a request is from', async (t) => {
  const application = express();
  application.set('env', 'test');
  application.use((asked, answer, next) => {
    const [, user] = /^Bearer (\w+)$/.exec(asked.get('authorization') ?? '') ?? [];
    if (user === undefined) {
      answer.sendStatus(401);
      return;
    }
    delete asked.headers.authorization;
    asked.headers['x-user'] = user;
    next();
  });
  const upstream = await startUpstream(t, echo);
  const under = await startBalancer(t, {
    upstreams: [upstream],
    front: {
      name: 'Express',
      open: (balancer) => {
        application.use(balancer.handle);
        return serve(http.createServer(UNTIMED, application));
      },
    },
  });
  const client = await under.connect();
  assert.equal((await client.exchange(get('/', 'X-User: admin\r\n'))).status, 401);
  await client.exchange(get('/', 'Authorization: Bearer alice\r\nX-User: admin\r\nX_User: admin\r\n'));
  assert.equal(upstream.requests.length, 1);
  const head = upstream.requests[0]?.head;
  assert.deepEqual(head?.fields.filter(([name]) => /user|authorization/i.test(name)), [['X-User', 'alice']]);
});
