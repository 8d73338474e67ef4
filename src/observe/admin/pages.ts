/**
 * Open pages: each gets an event a second. What they get is made once for all of them, and a page that does not read is
 * dropped, so that many pages cost little more than one.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TimeSource } from '../../loop/time-source.ts';
import { SAFE_HEADERS, sendText } from './answer.ts';

export interface PagesWorld {
  readonly time: TimeSource;
  /** Called each second before `view`, while pages are open, and when the first one is opened. */
  readonly watch: () => void;
  /** What pages show; anything that JSON can carry. */
  readonly view: () => unknown;
}

export class Pages {
  readonly #world: PagesWorld;
  readonly #open = new Set<ServerResponse>();
  #stop: (() => void) | undefined;

  constructor(world: PagesWorld) {
    this.#world = world;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Serves `/events`. */
  serve(request: IncomingMessage, response: ServerResponse): void {
    if (this.#open.size >= MAX_PAGES) {
      sendText(request, response, 503, `${MAX_PAGES} pages are open already`, { 'retry-after': '10' });
      return;
    }
    response.writeHead(200, { ...SAFE_HEADERS, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    this.#open.add(response);
    response.once('close', () => {
      this.#open.delete(response);
      if (this.#open.size === 0) this.#rest();
    });
    response.on('error', ignore);
    if (this.#stop === undefined) {
      this.#world.watch();
      this.#stop = this.#world.time.every(PERIOD_MS, () => {
        this.#world.watch();
        this.#tell(this.#open);
      });
    }
    response.write(`retry: ${RETRY_MS}\n\n`);
    // By then other workers have reported for the first time.
    const stop = this.#world.time.every(FIRST_MS, () => {
      stop();
      if (this.#open.has(response)) this.#tell([response]);
    });
  }

  /** Shows all pages at once what has changed. */
  refresh(): void {
    if (this.#open.size > 0) this.#tell(this.#open);
  }

  /** Ends all: the pages ask again, and may reach another worker. */
  close(): void {
    for (const response of this.#open) response.end();
    this.#open.clear();
    this.#rest();
  }

  #tell(pages: Iterable<ServerResponse>): void {
    const event = `data: ${JSON.stringify(this.#world.view())}\n\n`;
    for (const page of pages) {
      if (page.writableLength > MAX_WAITING) page.destroy();
      else page.write(event);
    }
  }

  #rest(): void {
    this.#stop?.();
    this.#stop = undefined;
  }
}

function ignore(): void {
  // 'close' follows.
}

const PERIOD_MS = 1_000;
const FIRST_MS = 100;
const RETRY_MS = 2_000;
const MAX_PAGES = 256;
/** Octets that wait for one page, besides those in the kernel. */
const MAX_WAITING = 262_144;
