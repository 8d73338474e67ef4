/**
 * What a process says of itself, by the names that Node users know from prom-client.
 */
import { readdir, readFile } from 'node:fs/promises';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { ProcessMetric } from './families.ts';

export const PROCESS_METRICS: readonly ProcessMetric[] = [
  counter('process_cpu_user_seconds_total', 'CPU time in user mode, in seconds.'),
  counter('process_cpu_system_seconds_total', 'CPU time in the kernel, in seconds.'),
  counter('process_cpu_seconds_total', 'CPU time, in seconds.'),
  gauge('process_start_time_seconds', 'When the process began, in seconds since 1970.'),
  gauge('process_resident_memory_bytes', 'Resident memory.'),
  gauge('process_virtual_memory_bytes', 'Virtual memory.'),
  gauge('process_heap_bytes', 'Data segment of the process.'),
  gauge('process_open_fds', 'Open file descriptors.'),
  gauge('process_max_fds', 'The limit on open file descriptors.'),
  gauge('nodejs_eventloop_lag_seconds', 'How late a turn of the event loop is now.'),
  gauge('nodejs_eventloop_lag_min_seconds', 'The least delay of the event loop since the last scrape.'),
  gauge('nodejs_eventloop_lag_max_seconds', 'The greatest delay of the event loop since the last scrape.'),
  gauge('nodejs_eventloop_lag_mean_seconds', 'The mean delay of the event loop since the last scrape.'),
  gauge('nodejs_eventloop_lag_stddev_seconds', 'The standard deviation of the delay since the last scrape.'),
  gauge('nodejs_eventloop_lag_p50_seconds', 'The median delay of the event loop since the last scrape.'),
  gauge('nodejs_eventloop_lag_p90_seconds', 'The 90th percentile of the delay since the last scrape.'),
  gauge('nodejs_eventloop_lag_p99_seconds', 'The 99th percentile of the delay since the last scrape.'),
];

export class ProcessMetrics {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay();

  constructor() {
    this.#delay.enable();
  }

  /** The values now. Where the system does not tell one, it is left out. */
  async read(): Promise<Record<string, number>> {
    const [lag, system] = await Promise.all([eventLoopLag(), ofSystem()]);
    const { user, system: kernel } = process.cpuUsage();
    return {
      process_cpu_user_seconds_total: user / 1e6,
      process_cpu_system_seconds_total: kernel / 1e6,
      process_cpu_seconds_total: (user + kernel) / 1e6,
      process_start_time_seconds: Math.round(performance.timeOrigin / 1e3),
      process_resident_memory_bytes: process.memoryUsage.rss(),
      ...system,
      nodejs_eventloop_lag_seconds: lag,
      ...this.#delays(),
    };
  }

  stop(): void {
    this.#delay.disable();
  }

  /** Since the last call. */
  #delays(): Record<string, number> {
    const delay = this.#delay;
    if (delay.count === 0) return {};
    const values = {
      nodejs_eventloop_lag_min_seconds: delay.min / 1e9,
      nodejs_eventloop_lag_max_seconds: delay.max / 1e9,
      nodejs_eventloop_lag_mean_seconds: delay.mean / 1e9,
      nodejs_eventloop_lag_stddev_seconds: delay.stddev / 1e9,
      nodejs_eventloop_lag_p50_seconds: delay.percentile(50) / 1e9,
      nodejs_eventloop_lag_p90_seconds: delay.percentile(90) / 1e9,
      nodejs_eventloop_lag_p99_seconds: delay.percentile(99) / 1e9,
    };
    delay.reset();
    return values;
  }
}

function eventLoopLag(): Promise<number> {
  const began = performance.now();
  return new Promise((resolve) => {
    setImmediate(() => {
      resolve((performance.now() - began) / 1e3);
    });
  });
}

/** What Linux tells in /proc; nothing on other systems. */
async function ofSystem(): Promise<Record<string, number>> {
  const [status, limits, fds] = await Promise.all([
    readFile('/proc/self/status', 'utf8').catch(() => ''),
    readFile('/proc/self/limits', 'utf8').catch(() => ''),
    readdir('/proc/self/fd').catch(() => undefined),
  ]);
  const found = {
    process_virtual_memory_bytes: kibibytes(status, 'VmSize'),
    process_heap_bytes: kibibytes(status, 'VmData'),
    process_max_fds: Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]),
    // Without the one that the listing itself has open.
    process_open_fds: fds === undefined ? NaN : fds.length - 1,
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => !Number.isNaN(value)));
}

function kibibytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1_024;
}

function counter(name: string, help: string): ProcessMetric {
  return { name, help, type: 'counter' };
}

function gauge(name: string, help: string): ProcessMetric {
  return { name, help, type: 'gauge' };
}
