/**
 * The OpenTelemetry SDK of a test file: what ends is exported to memory, and each span that begins has to end.
 */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import * as api from '@opentelemetry/api';
import {
  InMemorySpanExporter, NodeTracerProvider, type ReadableSpan, type Sampler, SamplingDecision, SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node';
import { Signal } from './wait.ts';

/** Registers the SDK, once for a file; it is gone when the file is done. */
export class Spans {
  readonly #exporter = new InMemorySpanExporter();
  readonly #signal = new Signal();
  /** Whether spans are sampled that have no parent. */
  samples = true;
  begun = 0;
  ended = 0;

  constructor() {
    const sampler: Sampler = {
      shouldSample: (context) => {
        const parent = api.trace.getSpanContext(context);
        const sampled = parent === undefined ? this.samples : (parent.traceFlags & api.TraceFlags.SAMPLED) !== 0;
        return { decision: sampled ? SamplingDecision.RECORD_AND_SAMPLED : SamplingDecision.NOT_RECORD };
      },
    };
    const counter = {
      onStart: () => {
        this.begun++;
      },
      onEnd: () => {
        this.ended++;
        this.#signal.raise();
      },
      forceFlush: () => Promise.resolve(),
      shutdown: () => Promise.resolve(),
    };
    const provider = new NodeTracerProvider({
      sampler, spanProcessors: [new SimpleSpanProcessor(this.#exporter), counter],
    });
    provider.register();
    after(async () => {
      api.trace.disable();
      api.context.disable();
      api.propagation.disable();
      await provider.shutdown();
    });
  }

  /** Forgets what came before. */
  clear(): void {
    this.#exporter.reset();
    this.begun = this.ended = 0;
    this.samples = true;
  }

  /** The spans, in the order of their ends, once there are `count`. There must be no more, and none may be open. */
  async all(count: number): Promise<ReadableSpan[]> {
    const shown = (): string => this.#exporter.getFinishedSpans().map(({ name }) => name).join(', ');
    await this.#signal.until(() => this.ended >= count, () => `${count} spans; got ${shown()}`);
    assert.equal(this.ended, count, shown());
    assert.equal(this.begun, count, 'each span that began has ended');
    return this.#exporter.getFinishedSpans();
  }
}
