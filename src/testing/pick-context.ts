/**
 * The context of a pick, for tests of strategies.
 */
import type { PickContext, PickRequest } from '../strategy.ts';

/** The part of a context that a test cares about; the rest has plain values. */
export type PickContextParts<R extends PickRequest | undefined> = Partial<Omit<PickContext<R>, 'request'>>;

/** A context for a pick of an upstream for `request`, or, without one, of a worker. */
export function pickContext(parts?: PickContextParts<undefined>): PickContext<undefined>;
export function pickContext(
  parts: PickContextParts<PickRequest> & { readonly request: Partial<PickRequest> }): PickContext;
export function pickContext(
  parts: PickContextParts<PickRequest> & { readonly request?: Partial<PickRequest> } = {},
): PickContext<PickRequest | undefined> {
  const { request } = parts;
  return {
    attempt: 1, remoteAddress: '', now: 0, note: undefined, respondWith: () => undefined,
    ...parts,
    request: request && { method: 'GET', target: '/', host: '', header: () => undefined, ...request },
  };
}
