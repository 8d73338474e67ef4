/**
 * What happens while a hook is under way: whose doing it was is told apart, and nothing is left behind.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HookExchange } from '../../../src/hooks.ts';
import { close, echo, head, refusingOrigin, request, reset, response, startUpstream } from '../../support/upstream.ts';
import { gate, turns, within } from '../../support/wait.ts';
import { ended, WAYS } from '../../support/ways.ts';

/** A hook that waits until the test lets it go on. */
class Slow {
  readonly started = gate();
  readonly #go = gate();
  exchange: HookExchange | undefined;
  result: Response | undefined;

  readonly hook = async (exchange: HookExchange): Promise<Response | undefined> => {
    this.exchange = exchange;
    this.started.open();
    await this.#go.opened;
    return this.result;
  };

  async go(): Promise<void> {
    this.#go.open();
    await turns(3);
  }
}

for (const way of WAYS) {
  describe(`while onRequest is under way, through ${way.name}`, () => {
    test('the downstream leaves: the signal is aborted, and nothing is sent upstream', async (t) => {
      const slow = new Slow();
      const { under, begin } = await way.start(t, {
        upstreams: [refusingOrigin()], onRequest: slow.hook, onError: () => assert.fail('nobody is there'),
      });
      const { answer, leave } = await begin();
      await slow.started.opened;
      const signal = slow.exchange?.request.signal;
      assert.equal(signal?.aborted, false);
      const aborted = gate();
      signal.addEventListener('abort', aborted.open);
      leave();
      await ended(answer);
      await within(aborted.opened, () => 'the signal to be aborted');
      await slow.go();
      assert.deepEqual(under.picks, []);
      assert.deepEqual(under.reports, []);
      assert.equal(slow.exchange?.request.signal.aborted, true);
    });

    test('the downstream leaves: what the hook throws because of it is not reported', async (t) => {
      const started = gate();
      const rejected = gate();
      const { under, begin } = await way.start(t, {
        upstreams: [refusingOrigin()],
        onRequest: ({ request: { signal } }) => new Promise<undefined>((_, reject) => {
          signal.addEventListener('abort', () => {
            reject(signal.reason as Error);
            rejected.open();
          });
          started.open();
        }),
      });
      const { answer, leave } = await begin();
      await started.opened;
      leave();
      await ended(answer);
      await within(rejected.opened, () => 'the hook to reject');
      await turns(3);
      assert.deepEqual(under.reports, []);
    });

    test('the downstream leaves: an answer that comes too late is cancelled', async (t) => {
      const slow = new Slow();
      const cancelled = gate();
      slow.result = new Response(new ReadableStream({ cancel: cancelled.open }));
      const { begin } = await way.start(t, { upstreams: [refusingOrigin()], onRequest: slow.hook });
      const { answer, leave } = await begin();
      await slow.started.opened;
      const aborted = gate();
      slow.exchange?.request.signal.addEventListener('abort', aborted.open);
      leave();
      await ended(answer);
      await aborted.opened;
      await slow.go();
      await within(cancelled.opened, () => 'the body to be cancelled');
    });

    test('close() drains it', async (t) => {
      const upstream = await startUpstream(t, echo);
      const slow = new Slow();
      const { under, begin } = await way.start(t, { upstreams: [upstream], onRequest: slow.hook });
      const { answer, leave } = await begin({ target: '/drained' });
      await slow.started.opened;
      let closed = false;
      const closing = under.balancer.close({ timeoutMs: 60_000 }).then(() => {
        closed = true;
      });
      await turns(5);
      assert.equal(closed, false);
      await slow.go();
      assert.equal((await answer).text, '/drained');
      leave();
      await within(closing, () => 'the balancer to close');
    });

    test('close() cuts it when its time is over', async (t) => {
      const slow = new Slow();
      const { under, begin } = await way.start(t, { upstreams: [refusingOrigin()], onRequest: slow.hook });
      const { answer } = await begin();
      await slow.started.opened;
      const closing = under.balancer.close({ timeoutMs: 1000 });
      await turns(3);
      await under.advance(1001);
      await ended(answer);
      await within(closing, () => 'the balancer to close');
      await slow.go();
      assert.deepEqual(under.picks, []);
    });

    test('its upstream is removed: another one serves', async (t) => {
      const one = await startUpstream(t, []);
      const other = await startUpstream(t, echo);
      const slow = new Slow();
      const { under, begin } = await way.start(t, { upstreams: [one, other], onRequest: slow.hook });
      const { answer } = await begin({ target: '/' });
      await slow.started.opened;
      await under.balancer.remove(one.origin);
      await slow.go();
      assert.equal((await answer).text, '/');
    });

    test('hookTimeoutMs passes: 500, and the signal is not aborted', async (t) => {
      const slow = new Slow();
      const { under, begin } = await way.start(t, {
        upstreams: [refusingOrigin()], hookTimeoutMs: 5000, onRequest: slow.hook,
      });
      const { answer } = await begin();
      await slow.started.opened;
      await under.advance(6000);
      assert.equal((await answer).status, 500);
      assert.deepEqual(under.reports, ['HOOK_FAILED']);
      assert.match(under.errors[0]?.message ?? '', /onRequest took longer than hookTimeoutMs \(5000 ms\)/);
      assert.equal(slow.exchange?.request.signal.aborted, false);
      await slow.go();
      assert.deepEqual(under.picks, []);
    });

    test('totalTimeoutMs passes: 504', async (t) => {
      const slow = new Slow();
      const { under, begin } = await way.start(t, {
        upstreams: [refusingOrigin()], hookTimeoutMs: 60_000, totalTimeoutMs: 5000, onRequest: slow.hook,
      });
      const { answer } = await begin();
      await slow.started.opened;
      await under.advance(6000);
      assert.equal((await answer).status, 504);
      await slow.go();
      assert.deepEqual(under.picks, []);
    });
  });

  describe(`while onResponse is under way, through ${way.name}`, () => {
    test('the whole response arrives: it is relayed once the hook is done', async (t) => {
      const upstream = await startUpstream(t, [[
        request,
        'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n',
        echo,
      ]]);
      const slow = new Slow();
      const { begin } = await way.start(t, { upstreams: [upstream], onResponse: slow.hook });
      const { answer } = await begin({ headers: { te: 'trailers' } });
      await slow.started.opened;
      await turns(10);
      slow.exchange?.response?.headers.set('x-late', '1');
      await slow.go();
      const { text, header, trailers } = await answer;
      assert.equal(text, 'hello');
      assert.equal(header('x-late'), '1');
      assert.equal(trailers['x-sum'], '5');
    });

    for (const [name, go] of [['closes', close], ['resets', reset]] as const) {
      test(`the upstream ${name} in the body: 502, since nothing was sent`, async (t) => {
        const upstream = await startUpstream(t, [[
          request, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', () => slow.started.opened, go,
        ]]);
        const slow = new Slow();
        const { under, begin } = await way.start(t, { upstreams: [upstream], onResponse: slow.hook });
        const { answer } = await begin();
        await slow.started.opened;
        // What closes is seen at the latest when the hook is done and reading goes on.
        await turns(10);
        await slow.go();
        const { status } = await answer.catch(() => ({ status: 'cut' }));
        assert.ok(status === 502 || status === 'cut', String(status));
        await under.settled(1);
        assert.equal(under.outcomes[0]?.ok, false);
        assert.equal(under.reports.length, 1);
      });

      test(`the upstream ${name} after a whole response: it is relayed`, async (t) => {
        const upstream = await startUpstream(t, [[request, response('hello'), () => slow.started.opened, go]]);
        const slow = new Slow();
        const { under, begin } = await way.start(t, { upstreams: [upstream], onResponse: slow.hook });
        const { answer } = await begin();
        await slow.started.opened;
        await turns(10);
        await slow.go();
        assert.equal((await answer).text, 'hello');
        assert.deepEqual(under.reports, []);
      });
    }

    test('the downstream leaves: the upstream connection is closed', async (t) => {
      const upstream = await startUpstream(t, [[head, 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello']]);
      const slow = new Slow();
      const { under, begin } = await way.start(t, { upstreams: [upstream], onResponse: slow.hook });
      const { answer, leave } = await begin();
      await slow.started.opened;
      leave();
      await ended(answer);
      await upstream.gone(1);
      await slow.go();
      assert.deepEqual(under.reports, []);
    });

    test('hookTimeoutMs passes: 500, and the upstream is not blamed', async (t) => {
      const upstream = await startUpstream(t, [[request, response('hello')]]);
      const slow = new Slow();
      const { under, begin } = await way.start(t, {
        upstreams: [upstream], hookTimeoutMs: 5000, onResponse: slow.hook,
      });
      const { answer } = await begin();
      await slow.started.opened;
      await under.advance(6000);
      assert.equal((await answer).status, 500);
      await under.settled(1);
      assert.equal(under.balancer.upstreams[0]?.state, 'active');
      assert.match(under.errors[0]?.message ?? '', /onResponse took longer/);
      await slow.go();
    });

    test('its upstream is removed: the response is still relayed', async (t) => {
      const upstream = await startUpstream(t, [[request, response('hello')]]);
      const slow = new Slow();
      const { under, begin } = await way.start(t, { upstreams: [upstream], onResponse: slow.hook });
      const { answer } = await begin();
      await slow.started.opened;
      const removing = under.balancer.remove(upstream.origin);
      await turns(3);
      await slow.go();
      assert.equal((await answer).text, 'hello');
      await within(removing, () => 'the upstream to be removed');
    });
  });

  describe(`while onError is under way, through ${way.name}`, () => {
    test('the downstream leaves', async (t) => {
      const slow = new Slow();
      const { under, begin } = await way.start(t, {
        upstreams: [refusingOrigin()], maxAttempts: 1, onError: slow.hook,
      });
      const { answer, leave } = await begin();
      await slow.started.opened;
      const aborted = gate();
      slow.exchange?.request.signal.addEventListener('abort', aborted.open);
      leave();
      await ended(answer);
      await within(aborted.opened, () => 'the signal to be aborted');
      await slow.go();
      assert.equal(under.reports.length, 1);
    });

    test('hookTimeoutMs passes: our own answer to the first error', async (t) => {
      const slow = new Slow();
      const { under, begin } = await way.start(t, {
        upstreams: [refusingOrigin()], maxAttempts: 1, hookTimeoutMs: 5000, onError: slow.hook,
      });
      const { answer } = await begin();
      await slow.started.opened;
      await under.advance(6000);
      assert.equal((await answer).status, 502);
      assert.deepEqual(under.reports.slice(-1), ['HOOK_FAILED']);
      await slow.go();
    });
  });
}
