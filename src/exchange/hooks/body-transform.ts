/**
 * A body sent through transforms: streams of WHATWG between our pieces, which come and go as they can, and a sink.
 * Back-pressure goes both ways. The streams are foreign code: they may throw, reject late, or never answer.
 */
import { disowned, isThenable } from '../../guard.ts';
import { shown } from '../../options/checks.ts';
import { BodyPull, type BodySink, type BodySource, cancelled, objectOf, sourceOf } from './body-pull.ts';

/** Where a transformed body goes, and who sends what is transformed. */
export interface TransformSink extends BodySink {
  /** The transform takes more again, after {@link BodyTransform.write} returned false. */
  drained(): void;
}

/** What is needed of a WritableStream's writer. */
interface BodyWriter {
  readonly ready: unknown;
  readonly desiredSize: number | null;
  write(chunk: unknown): unknown;
  close(): unknown;
  abort(reason?: unknown): unknown;
}

/** One transform, both sides locked for us. */
export interface Stage {
  readonly source: BodySource;
  readonly writer: BodyWriter;
}

/**
 * Locks a `{ readable, writable }` pair for us. Throws a TypeError where it is none, or either side is locked: at the
 * line that hands it over.
 */
export function stageOf(pair: unknown): Stage {
  const { readable, writable } = objectOf(pair, 'a transform', 'a TransformStream') as {
    readonly readable?: unknown; readonly writable?: unknown;
  };
  const { locked, getWriter } = objectOf(writable, 'writable of a transform', 'a WritableStream') as {
    readonly locked?: unknown; readonly getWriter?: unknown;
  };
  if (typeof getWriter !== 'function') {
    throw new TypeError(`writable of a transform must be a WritableStream (got ${shown(writable)})`);
  }
  if (locked === true) throw new TypeError('writable of a transform is locked: something writes to it already');
  const source = sourceOf(readable, 'readable of a transform');
  try {
    const writer = getWriter.call(writable) as BodyWriter & { readonly closed?: unknown };
    // Its rejection is that of write() or close() once more.
    settle(writer.closed);
    return { source, writer };
  } catch (cause) {
    cancelled(source, cause);
    throw cause;
  }
}

/** Lets go of a stage that is not used after all. */
export function dropStage({ source, writer }: Stage, reason: unknown): void {
  aborted(writer, reason);
  cancelled(source, reason);
}

/**
 * A body on its way through one stage or several. Its readable side has the last word on how it ends: a transform may
 * end a body early (`terminate()`), which closes what it reads and errors what it is written to.
 */
export class BodyTransform {
  readonly #stages: readonly Stage[];
  readonly #first: BodyWriter;
  readonly #sink: TransformSink;
  readonly #pull: BodyPull;
  readonly #joints: Joint[] = [];
  /** Whether `write` returned false, and `drained` is due. */
  #full = false;
  /** Whether the first stage takes no more: it failed, or has ended early. */
  #deaf = false;
  #over = false;

  /** `stages` are at least one. Nothing is read from them before {@link BodyTransform.resume}. */
  constructor(stages: readonly [Stage, ...Stage[]], sink: TransformSink) {
    this.#stages = stages;
    this.#first = stages[0].writer;
    this.#sink = sink;
    let [last] = stages;
    for (const stage of stages.slice(1)) {
      this.#joints.push(new Joint(last.source, stage.writer, (cause) => { this.#fail(cause); }));
      last = stage;
    }
    this.#pull = new BodyPull(last.source, {
      data: (bytes) => { sink.data(bytes); },
      end: () => {
        this.#over = true;
        this.#dropAll(new TypeError('the transform has ended its output'));
        sink.end();
      },
      failed: (cause) => { this.#fail(cause); },
    });
  }

  /**
   * Gives a piece to the transform: a copy, so the buffer is the caller's again. Returns false where no more should
   * come before `drained` is called. Where the transform has ended early that never is: its output ends.
   */
  write(bytes: Uint8Array): boolean {
    if (this.#over || this.#deaf) return false;
    if (bytes.length === 0) return !this.#full;
    try {
      // What it is given is its own: it may keep it, or transfer it. Not a Buffer, which may lie in a shared pool.
      this.#listen(this.#first.write(new Uint8Array(bytes)));
      if (!this.#full && !hasRoom(this.#first)) {
        this.#full = true;
        void this.#awaitRoom();
      }
    } catch {
      this.#stopWriting();
    }
    return !this.#full && !this.#deaf;
  }

  /** The body is complete: the transform may have more to give. */
  end(): void {
    if (this.#over || this.#deaf) return;
    try {
      this.#listen(this.#first.close());
    } catch {
      this.#stopWriting();
    }
  }

  /** The body broke off, or is not wanted any more: the sink hears nothing further, and all stages are told. */
  abort(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#dropAll(reason);
  }

  /** The sink takes no more for now. One piece may be on its way: it is kept. */
  pause(): void {
    this.#pull.pause();
  }

  /** Starts, or goes on after {@link BodyTransform.pause}. */
  resume(): void {
    if (this.#over) return;
    for (const joint of this.#joints) joint.start();
    this.#pull.resume();
  }

  async #awaitRoom(): Promise<void> {
    try {
      await this.#first.ready;
    } catch {
      this.#stopWriting();
      return;
    }
    this.#full = false;
    if (this.#over || this.#deaf) return;
    try {
      this.#sink.drained();
    } catch (cause) {
      this.#fail(cause);
    }
  }

  /** Hears when a write or the close of the first stage fails. */
  #listen(promise: unknown): void {
    if (isThenable(promise)) promise.then(undefined, () => { this.#stopWriting(); });
  }

  /** What reads of the first stage tells why, or that it has ended: it is waited for. */
  #stopWriting(): void {
    this.#deaf = true;
  }

  #fail(cause: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#dropAll(cause);
    this.#sink.failed(cause);
  }

  #dropAll(reason: unknown): void {
    for (const joint of this.#joints) joint.stop();
    this.#pull.cancel(reason);
    for (const stage of this.#stages) dropStage(stage, reason);
  }
}

/** Takes what one stage gives to the next one, whatever it is. */
class Joint {
  readonly #source: BodySource;
  readonly #writer: BodyWriter;
  readonly #failed: (cause: unknown) => void;
  #started = false;
  #stopped = false;

  constructor(source: BodySource, writer: BodyWriter, failed: (cause: unknown) => void) {
    this.#source = source;
    this.#writer = writer;
    this.#failed = failed;
  }

  start(): void {
    if (this.#started) return;
    this.#started = true;
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    for (let streak = 1; this.#goes(); streak++) {
      // As with a pull: what always has something at once would let nothing else happen.
      if (streak % MAX_STREAK === 0) await new Promise((resolve) => setImmediate(resolve));
      if (!await this.#isReady()) return;
      const piece = await this.#read();
      if (piece === undefined || !this.#goes()) return;
      if (!this.#write(piece)) return;
    }
  }

  #goes(): boolean {
    return !this.#stopped;
  }

  /** Waits for room. Where the next stage takes no more, this one is not wanted any more. */
  async #isReady(): Promise<boolean> {
    try {
      await this.#writer.ready;
      return true;
    } catch (cause) {
      this.#notWanted(cause);
      return false;
    }
  }

  async #read(): Promise<Piece | undefined> {
    try {
      const { done, value } = objectOf(await this.#source.read(), 'the result of read()', 'an object') as Piece;
      return { done, value };
    } catch (cause) {
      // Of all stages the first one that failed says why.
      if (this.#goes()) this.#failed(cause);
      return undefined;
    }
  }

  /** Returns whether there is more to take. */
  #write({ done, value }: Piece): boolean {
    try {
      settle(done === true ? this.#writer.close() : this.#writer.write(value));
      return done !== true;
    } catch (cause) {
      this.#notWanted(cause);
      return false;
    }
  }

  #notWanted(reason: unknown): void {
    if (this.#goes()) cancelled(this.#source, reason);
    this.#stopped = true;
  }
}

/** What a read gives: a piece, or the end. */
interface Piece {
  readonly done?: unknown;
  readonly value?: unknown;
}

function hasRoom({ desiredSize }: BodyWriter): boolean {
  return desiredSize !== null && desiredSize > 0;
}

/** Keeps a rejection from ending the process, where it is told in another way too. */
function settle(promise: unknown): void {
  if (isThenable(promise)) disowned(promise);
}

function aborted(writer: BodyWriter, reason: unknown): void {
  try {
    settle(writer.abort(reason));
    // After an abort this is a new promise, which rejects.
    settle(writer.ready);
  } catch {
    // It was told; what it makes of it concerns nobody.
  }
}

const MAX_STREAK = 32;
