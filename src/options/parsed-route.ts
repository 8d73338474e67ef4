/**
 * Routes as they are checked: types only.
 */
import type { ParsedLimits } from './limits.ts';

/** A route, checked. What its parts mean stands at {@link RouteOptions}. */
export interface ParsedRoute {
  /** In lower case, without a dot at its end; `''` for every host. */
  readonly host: string;
  /** Without a slash at its end; `''` for every target. */
  readonly path: string;
  /** HEAD is among them where GET is; undefined for every method. */
  readonly methods: readonly string[] | undefined;
  readonly action: RouteAction;
  /** Undefined where none are given. */
  readonly limits: ParsedLimits | undefined;
  readonly requestHeaders: readonly HeaderEdit[];
  readonly responseHeaders: readonly HeaderEdit[];
}

/** What becomes of a request. */
export type RouteAction =
  | { readonly kind: 'pool'; readonly pool: string; readonly rewrite: Rewrite | undefined }
  | { readonly kind: 'redirect'; readonly status: number; readonly location: string }
  /** `fields` are whole header lines, each with its CRLF. */
  | { readonly kind: 'answer'; readonly status: number; readonly fields: string; readonly body: string };

/** How a target is rewritten: `put` comes in place of its first `cut` octets. */
export interface Rewrite {
  readonly cut: number;
  readonly put: string;
}

/** A header to set, or to remove (null). */
export interface HeaderEdit {
  readonly name: string;
  readonly value: string | null;
}
