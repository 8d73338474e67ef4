/**
 * What the balancer itself edits in the head of a request, before hooks see it: its id, and what its route sets.
 */
import type { RequestHead } from '../http1/request.ts';
import { HeaderLines } from './hooks/header-lines.ts';
import { WHY_FIELD } from './decision.ts';
import { requestId } from './request-id.ts';
import type { RouteTaken } from './routing.ts';

/** The edits of one request at a time. */
export class RequestEdits {
  readonly #idHeader: string;
  /** The request's headers, if they were edited and no hook sees them. */
  #lines: HeaderLines | undefined;

  readonly #hidesWhy: boolean;

  /** `idHeader` names the header that carries the id; `''` if none does. `hidesWhy`: X-Equipoise-Why has a token. */
  constructor(idHeader: string, hidesWhy: boolean) {
    this.#idHeader = idHeader;
    this.#hidesWhy = hidesWhy;
  }

  /** Gives a request its id. `trusted` is whether the downstream may choose it. */
  identify(head: RequestHead, trusted: boolean): void {
    const name = this.#idHeader;
    if (name !== '') head.id = requestId(trusted ? head.header(name.toLowerCase()) : undefined);
  }

  /**
   * Edits the headers: those in `seen` if hooks see them, else those of the head. `trusted` is whether forwarding
   * headers of the downstream are believed.
   */
  edit(head: RequestHead, route: RouteTaken | undefined, seen: HeaderLines | undefined, trusted: boolean): void {
    const edits = route?.requestHeaders ?? [];
    const hides = this.#hidesWhy && head.header(WHY_FIELD) !== undefined;
    if (edits.length === 0 && this.#idHeader === '' && !hides) return;
    const lines = seen ?? new HeaderLines('request', head.lines, head.fields, trusted);
    if (this.#idHeader !== '') lines.set(this.#idHeader, head.id);
    if (hides) lines.delete(WHY_FIELD);
    lines.edit(edits);
    if (seen !== undefined) return;
    this.#lines = lines;
    head.revise(head.target, lines.sent, lines.host);
  }

  /** The forwarding lines to send: without those that were set or removed. */
  withoutTaken(forwarding: string): string {
    return this.#lines?.withoutTaken(forwarding) ?? forwarding;
  }

  /** The exchange is over. */
  clear(): void {
    this.#lines = undefined;
  }
}
