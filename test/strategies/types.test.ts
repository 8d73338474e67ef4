/** What the types of a strategy promise: `npm run types` checks them, and this runs what they describe. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Candidate, PickContext, Strategy, Upstream, WorkerCandidate } from '../../src/strategy.ts';
import { pickContext } from '../../src/testing/pick-context.ts';

const byPath: Strategy = {
  name: 'by-path',
  // No question mark: a pick of an upstream always has a request.
  pick: (candidates, { request }) => candidates[request.target.length % candidates.length],
};

const byAddress: Strategy<WorkerCandidate> = {
  name: 'by-address',
  pick(candidates, { remoteAddress, request }) {
    request satisfies undefined;
    return candidates[remoteAddress.length % candidates.length];
  },
};

/** The strategy of the README, for upstreams. */
function fastestOfTwo({ rng }: { readonly rng: () => number }): Strategy {
  const draw = (candidates: readonly Upstream[]): Upstream | undefined => {
    return candidates[Math.floor(rng() * candidates.length)];
  };
  const cost = ({ latencyMs, inFlight }: Upstream, known: boolean): number => {
    return (known ? latencyMs : 1) * (inFlight + 1);
  };
  return {
    name: 'fastest-of-two',
    pick(candidates) {
      const [a, b] = [draw(candidates), draw(candidates)];
      if (a === undefined || b === undefined) return undefined;
      const known = a.latencyMs > 0 && b.latencyMs > 0;
      return cost(a, known) <= cost(b, known) ? a : b;
    },
  };
}

/** A strategy for anything that can be picked. */
function first<C extends Candidate>(): Strategy<C> {
  return { name: 'first', pick: ([one]) => one };
}

test('a strategy of upstreams has a request, one of workers has none', () => {
  const context: PickContext = pickContext({ request: { target: '/abc' } });
  assert.equal(byPath.pick([], context), undefined);
  assert.equal(byAddress.pick([], { ...context, request: undefined }), undefined);
  assert.equal(fastestOfTwo({ rng: () => 0 }).pick([], context), undefined);
  assert.equal(first<Upstream>().pick([], context), undefined);
  assert.equal(first<WorkerCandidate>().pick([], { ...context, request: undefined }), undefined);
});
