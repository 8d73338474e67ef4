/**
 * How the upstreams of a pool differ from those that are wanted, found in slices.
 */
import { SLICE, type Work } from '../loop/slices.ts';
import type { ParsedUpstream } from '../options/upstreams.ts';
import type { ManagedUpstream } from './managed-upstream.ts';

export interface Difference {
  readonly leaving: readonly ManagedUpstream[];
  /** Those that stay, with other options. */
  readonly changed: readonly (readonly [ManagedUpstream, ParsedUpstream])[];
  readonly fresh: readonly ParsedUpstream[];
}

/** Compares `active`, by origin, which must not change meanwhile, with what is `wanted`. */
export function* difference(
  active: ReadonlyMap<string, ManagedUpstream>, wanted: readonly ParsedUpstream[],
): Work<Difference> {
  const kept = new Set<ManagedUpstream>();
  const changed: [ManagedUpstream, ParsedUpstream][] = [];
  const fresh: ParsedUpstream[] = [];
  for (let at = 0; at < wanted.length; at += SLICE) {
    if (at > 0) yield;
    for (const settings of wanted.slice(at, at + SLICE)) {
      const upstream = active.get(settings.origin);
      if (upstream === undefined) fresh.push(settings);
      else {
        kept.add(upstream);
        if (upstream.settings !== settings) changed.push([upstream, settings]);
      }
    }
  }
  const leaving: ManagedUpstream[] = [];
  let looked = 0;
  for (const upstream of active.values()) {
    if (++looked % SLICE === 0) yield;
    if (!kept.has(upstream)) leaving.push(upstream);
  }
  return { leaving, changed, fresh };
}
