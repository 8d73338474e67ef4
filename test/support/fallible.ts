/**
 * Upstreams that a test takes down and brings up again.
 */
import type { TestContext } from 'node:test';
import type { BalancerOptions, UpstreamOptions } from '../../src/options/options.ts';
import type { Strategy } from '../../src/strategy.ts';
import type { BalancerUnderTest } from './balancer.ts';
import { get } from './client.ts';
import { failsWith } from './streams.ts';
import { echo, type ScriptedUpstream, type Scripts, startUpstream } from './upstream.ts';

/** Some upstreams, which of them refuse connections, and the `connect` option that makes them. */
export class Fallible {
  readonly upstreams: readonly ScriptedUpstream[];
  readonly down = new Set<ScriptedUpstream>();

  constructor(upstreams: readonly ScriptedUpstream[]) {
    this.upstreams = upstreams;
  }

  static async start(t: TestContext, count: number, scripts: Scripts = echo): Promise<Fallible> {
    const upstreams: ScriptedUpstream[] = [];
    for (let i = 0; i < count; i++) upstreams.push(await startUpstream(t, scripts));
    return new Fallible(upstreams);
  }

  readonly connect: NonNullable<BalancerOptions['connect']> = ({ origin }) => {
    const down = this.upstreams.some((upstream) => upstream.origin === origin && this.down.has(upstream));
    return down ? failsWith('ECONNREFUSED') : undefined;
  };

  /** The options of each, with a tag `name`: a, b, c, ... */
  get options(): UpstreamOptions[] {
    return this.upstreams.map(({ origin }, i) => ({ origin, tags: { name: 'abcdefghij'.charAt(i) } }));
  }

  at(index: number): ScriptedUpstream {
    const upstream = this.upstreams[index];
    if (upstream === undefined) throw new RangeError(`no upstream ${index}`);
    return upstream;
  }

  /** The names of these origins, as one word. */
  names(origins: readonly (string | undefined)[]): string {
    return origins.map((origin) => this.options.find((each) => each.origin === origin)?.tags?.['name'] ?? '?').join('');
  }
}

/** Picks the upstream whose tag `name` is the target, such as `/b`; the first if that is not a candidate. */
export const byTarget: Strategy = {
  name: 'by target',
  pick: (candidates, { request }) => {
    return candidates.find(({ tags }) => request.target === `/${tags['name'] ?? ''}`) ?? candidates[0];
  },
};

/** Sends requests one after another, each over its own connection, and returns their statuses. */
export async function ask(under: BalancerUnderTest, count: number, target = '/'): Promise<number[]> {
  const statuses: number[] = [];
  for (let i = 0; i < count; i++) {
    const client = await under.connect();
    statuses.push((await client.exchange(get(target))).status);
    client.destroy();
  }
  return statuses;
}
