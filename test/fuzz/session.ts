/**
 * A run of the fuzzer: draws cases by their index, judges them, and counts.
 */
import { Draw } from './draw.ts';
import type { Front } from './front.ts';
import { RequestsFuzz } from './requests.ts';
import { ResponsesFuzz } from './responses.ts';
import { shrink } from './shrink.ts';

/** What a case consists of, at least. */
export interface Case {
  readonly pieces: readonly string[];
}

/** How a case ended: with a fault, or how the sides agreed; and what else to count. */
export type Judgement = ({ readonly fault: string } | { readonly verdict: string }) & {
  readonly notes: readonly (typeof NOTES[number])[];
  /** The results of both sides, to be shown. */
  readonly saw: unknown;
};

/** One of the two things that are fuzzed. */
export interface Fuzz<C extends Case = Case> {
  /** The cases of one draw. */
  draw(draw: Draw): C[];
  /** `oracles` are the pieces for Node where they differ from ours on purpose: the difference must be noticed. */
  judge(one: C, oracles?: readonly string[]): Promise<Judgement>;
  close(): Promise<unknown>;
}

export interface Find {
  readonly index: number;
  readonly fault: string;
  readonly found: Case;
  readonly small: Case;
  readonly saw: unknown;
}

export class Session {
  readonly #seed: number;
  /** Even indices draw requests, odd ones responses. */
  readonly #fuzzes: readonly Fuzz[];
  readonly finds: Find[] = [];
  /** Cases by what was fuzzed and how they ended. */
  readonly counts = new Map<string, number>();

  constructor(seed: number, front: Front = 'socket') {
    this.#seed = seed;
    this.#fuzzes = [new RequestsFuzz(front), new ResponsesFuzz(front)] as Fuzz[];
  }

  /** Runs what one index draws. Returns the number of cases. */
  async run(index: number): Promise<number> {
    const kind = index % KINDS.length;
    const fuzz = this.#fuzzes[kind];
    if (fuzz === undefined) return 0;
    const cases = fuzz.draw(new Draw(this.#seed, index));
    for (const one of cases) {
      const judgement = await fuzz.judge(one);
      const end = 'fault' in judgement ? 'FOUND' : judgement.verdict;
      for (const what of [end, ...judgement.notes]) this.#count(`${KINDS[kind] ?? ''}: ${what}`);
      if ('fault' in judgement && this.finds.length < MAX_FINDS) {
        const small = await shrink(one, async (smaller) => {
          const other = await fuzz.judge(smaller);
          // The same fault, judged by the words before its details.
          return 'fault' in other && other.fault.slice(0, 10) === judgement.fault.slice(0, 10);
        });
        const { saw } = await fuzz.judge(small);
        this.finds.push({ index, fault: judgement.fault, found: one, small, saw });
      }
    }
    return cases.length;
  }

  async close(): Promise<void> {
    for (const fuzz of this.#fuzzes) await fuzz.close();
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
}

export const KINDS = ['requests', 'responses'] as const;
/** What is counted besides how cases ended. */
export const NOTES = ['unknown method', 'kept', '101'] as const;
/** The most findings that are kept. */
const MAX_FINDS = 20;
