/**
 * A hook may leave the answer to the embedder's own response, as proxies do that hand errors to Express: the exchange
 * ends when that response does, and nothing is reported.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http, { type ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import express, { type ErrorRequestHandler, type NextFunction } from 'express';
import type { Balancer } from '../../src/balancer.ts';
import type { HookError, HookExchange } from '../../src/hooks.ts';
import { startBalancer } from '../support/balancer.ts';
import { get } from '../support/client.ts';
import { type FrontKind, serve, UNTIMED } from '../support/fronts.ts';
import { echo, refusingOrigin, startUpstream } from '../support/upstream.ts';

interface State {
  readonly response: ServerResponse;
  readonly next: NextFunction;
}

const byExpress: ErrorRequestHandler = (error, _request, _response, next) => {
  next(error);
};

/** Express, with the balancer as middleware and an error handler behind it. */
function withErrors(handler = byExpress): FrontKind {
  return {
    name: 'Express with an error handler',
    open: (balancer: Balancer) => {
      const app = express().use((request, response, next) => {
        balancer.handle(request, response, { state: { response, next } satisfies State });
      }).use(handler);
      return serve(http.createServer(UNTIMED, app));
    },
  };
}

/** Hands the error to Express, and waits for its answer. */
async function toExpress({ state }: HookExchange, error: HookError): Promise<void> {
  const { response, next } = state as State;
  next(error);
  await once(response, 'close');
}

const HANDLERS: readonly (readonly [name: string, answer: (send: () => void) => void])[] = [
  ['at once', (send) => {
    send();
  }],
  ['later', (send) => {
    setImmediate(send);
  }],
];

describe('the embedder answers', () => {
  for (const [name, answer] of HANDLERS) {
    test(`an error that onError hands to Express, ${name}`, async (t) => {
      const origin = refusingOrigin();
      const front = withErrors((error: HookError, request, response, next) => {
        if (response.headersSent) next(error);
        else answer(() => response.status(error.status).send(`${error.code} ${request.url}`));
      });
      const under = await startBalancer(t, { upstreams: [origin], front, onError: toExpress });
      const client = await under.connect();
      for (const target of ['/a', '/b']) {
        const { status, text } = await client.exchange(get(target));
        assert.deepEqual([status, text], [502, `CONNECT_REFUSED ${target}`]);
      }
      assert.deepEqual([...new Set(under.reports)], [`CONNECT_REFUSED at ${origin}`]);
    });

    test(`a response whose body onResponse has read, ${name}`, async (t) => {
      const upstream = await startUpstream(t, echo);
      const under = await startBalancer(t, {
        upstreams: [upstream],
        front: withErrors(),
        async onResponse({ state, response: { body, status } }) {
          const { response } = state as State;
          const text = await new Response(body).text();
          answer(() => response.writeHead(status).end(text.toUpperCase()));
          await once(response, 'close');
        },
      });
      const client = await under.connect();
      for (const target of ['/a', '/b']) assert.equal((await client.exchange(get(target))).text, target.toUpperCase());
      assert.deepEqual(under.reports, []);
    });
  }
});
