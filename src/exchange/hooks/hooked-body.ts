/**
 * What a hook does to the body of a message: nothing, transforms, or reading it.
 */
import type { HookTransform } from '../../hooks.ts';
import { dropStage, type Stage, stageOf } from './body-transform.ts';
import { ReadDetour } from './detour.ts';

/** Where the body comes from. */
export interface BodyReader {
  /** A hook begins to read the body. Returns what makes more come when there is room. */
  readBody(read: ReadDetour): () => void;
}

/** The body of one message, as a hook may use it. Made when a hook first asks for it. */
export class HookedBody {
  readonly #what: string;
  readonly #exists: boolean;
  readonly #reader: BodyReader;
  readonly #stages: Stage[] = [];
  #transformed = false;
  #read: ReadDetour | undefined;
  #sealed: string | undefined;

  /** `what` names the message in errors; `sealed` is why it cannot be used any more, if it cannot. */
  constructor(what: string, exists: boolean, reader: BodyReader, sealed: string | undefined) {
    this.#what = what;
    this.#exists = exists;
    this.#reader = reader;
    this.#sealed = sealed;
  }

  /** The body for a hook to read; null without one. */
  get stream(): ReadableStream<Uint8Array> | null {
    if (!this.#exists) return null;
    if (this.#read === undefined) {
      this.#check('body cannot be read');
      if (this.#stages.length > 0) throw new TypeError(`${this.#what}.body goes through transforms: it cannot be read`);
      let room = (): void => undefined;
      const read = this.#read = new ReadDetour(() => {
        room();
      });
      room = this.#reader.readBody(read);
    }
    return this.#read.stream;
  }

  pipeThrough(transform: HookTransform): void {
    this.#check('pipeThrough cannot be called');
    if (this.#read !== undefined) throw new TypeError(`${this.#what}.body is being read: it takes no transform`);
    const stage = stageOf(transform);
    this.#transformed = true;
    if (this.#exists) this.#stages.push(stage);
    else dropStage(stage, new TypeError('there is no body'));
  }

  /** Whether the hook reads the body, or has read it. */
  get isRead(): boolean {
    return this.#read !== undefined;
  }

  /** Whether the hook transforms the body, even where there is none: a HEAD has the headers that a GET would have. */
  get isTransformed(): boolean {
    return this.#transformed;
  }

  /** The transforms, which become the caller's: undefined without any. */
  takeStages(): readonly [Stage, ...Stage[]] | undefined {
    const [first, ...others] = this.#stages.splice(0);
    return first === undefined ? undefined : [first, ...others];
  }

  /** Has all further use throw, and drops transforms that were not taken. */
  seal(why: string): void {
    this.#sealed = why;
    for (const stage of this.#stages.splice(0)) dropStage(stage, new Error(why));
  }

  #check(what: string): void {
    if (this.#sealed !== undefined) throw new TypeError(`${this.#what}.${what}: ${this.#sealed}`);
  }
}
