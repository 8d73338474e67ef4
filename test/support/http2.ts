/**
 * HTTP/2 into a balancer: node:http2 servers around `handle`, and a client for them.
 */
import http2, {
  type ClientHttp2Session, type Http2SecureServer, type Http2Server, type Http2ServerRequest, type Http2ServerResponse,
  type IncomingHttpHeaders, type IncomingHttpStatusHeader,
} from 'node:http2';
import type { TestContext } from 'node:test';
import { startBalancer, type TestOptions } from './balancer.ts';
import { makeCertificate, NO_OPENSSL } from './certificate.ts';
import { type FrontKind, serve } from './fronts.ts';
import { atEnd } from './scope.ts';
import type { ScriptedUpstream } from './upstream.ts';
import { within } from './wait.ts';

export const certificate = makeCertificate();

export interface Http2Kind extends FrontKind {
  readonly skip: string | false;
  readonly url: (port: number) => string;
  /** A server of this kind. */
  readonly server: (listener: Listener) => Http2Server | Http2SecureServer;
}

type Listener = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/** Cleartext HTTP/2 that takes WebSockets by extended CONNECT (RFC 8441); `guard` decides which. */
export function connecting(guard: (request: Http2ServerRequest) => boolean = () => true): Http2Kind {
  return {
    ...H2C,
    name: 'h2c with extended CONNECT',
    open: (balancer) => {
      const server = http2.createServer({ settings: { enableConnectProtocol: true } }, balancer.handle);
      server.on('connect', (request: Http2ServerRequest, response: Http2ServerResponse) => {
        if (guard(request)) balancer.upgrade(request, response);
        else response.writeHead(401).end();
      });
      return serve(server);
    },
  };
}

/** Cleartext HTTP/2, with prior knowledge. */
export const H2C: Http2Kind = {
  name: 'h2c',
  skip: false,
  url: (port) => `http://127.0.0.1:${port}`,
  server: (listener) => http2.createServer(listener),
  open: (balancer) => serve(H2C.server(balancer.handle)),
};
export const H2: Http2Kind = {
  name: 'HTTP/2 over TLS',
  skip: certificate === undefined && NO_OPENSSL,
  url: (port) => `https://127.0.0.1:${port}`,
  server: (listener) => http2.createSecureServer({ ...certificate, allowHTTP1: true }, listener),
  open: (balancer) => serve(H2.server(balancer.handle)),
};

export interface Http2Answer {
  readonly status: number | undefined;
  readonly fields: IncomingHttpHeaders & IncomingHttpStatusHeader;
  readonly body: Buffer;
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly interims: IncomingHttpHeaders[];
}

/** Starts a balancer behind `kind`, and opens a session to it. */
export async function startHttp2(
  t: TestContext, kind: Http2Kind, upstreams: readonly ScriptedUpstream[], options: Partial<TestOptions> = {},
) {
  const under = await startBalancer(t, { ...options, upstreams, front: kind });
  const session = http2.connect(kind.url(under.port), certificate && { ca: certificate.cert });
  session.on('error', () => {
    // The streams report it.
  });
  const done = new Promise((resolve) => session.once('close', resolve));
  atEnd(t, async () => {
    session.destroy();
    await done;
  });
  return { under, session };
}

/** Sends a request and reads the whole response. Fails if its stream is reset. */
export async function ask(
  session: ClientHttp2Session, fields: http2.OutgoingHttpHeaders, body?: Buffer, trailers?: http2.OutgoingHttpHeaders,
): Promise<Http2Answer> {
  const stream = session.request(fields, { endStream: body === undefined, waitForTrailers: trailers !== undefined });
  const answer = new Promise<Http2Answer>((resolve, reject) => {
    let got: Http2Answer['fields'] = {};
    let after: IncomingHttpHeaders | undefined;
    const interims: IncomingHttpHeaders[] = [];
    const parts: Buffer[] = [];
    stream.on('headers', (interim) => interims.push(interim));
    stream.on('response', (answered: Http2Answer['fields']) => {
      got = answered;
    });
    stream.on('trailers', (sent: IncomingHttpHeaders) => {
      after = sent;
    });
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('error', reject);
    stream.on('aborted', () => {
      reject(new Error('aborted'));
    });
    stream.on('close', () => {
      if (stream.rstCode !== 0) reject(new Error(`RST_STREAM ${stream.rstCode}`));
      resolve({ status: got[':status'], fields: got, body: Buffer.concat(parts), trailers: after, interims });
    });
  });
  if (trailers !== undefined) stream.on('wantTrailers', () => {
    stream.sendTrailers(trailers);
  });
  if (body !== undefined) stream.end(body);
  return within(answer, () => 'a response over HTTP/2');
}
