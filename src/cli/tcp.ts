/**
 * Layer 4 in the binary: `--tcp`, or `tcp` of a configuration file.
 */
import { type Balancer, createBalancer } from '../balancer.ts';
import { flag, isRecord } from '../options/checks.ts';
import type { BalancerOptions } from '../options/options.ts';
import type { Arguments } from './arguments.ts';
import type { ListenAddress } from './listen.ts';

/** Whether to balance raw connections. Adds to `problems` what cannot go with that. */
export function isTcp(args: Arguments, file: Readonly<Record<string, unknown>>, problems: string[]): boolean {
  const isWanted = flag(file['tcp'], 'tcp', problems) || args.tcp;
  if (isWanted && args.demo) problems.push('--tcp: the upstreams of --demo speak HTTP; leave one of them out');
  return isWanted;
}

/** The listeners that raw connections can have. Adds to `problems` if there are others. */
export function rawListeners(listen: readonly ListenAddress[], problems: string[]): readonly ListenAddress[] {
  const raw = listen.filter(({ as }) => as !== 'redirect');
  if (raw.length < listen.length) {
    problems.push('listen: redirect: answers HTTP requests, which --tcp does not read; leave one of them out');
  }
  return raw;
}

/** Adds to `problems` what the option `tls` asks for that raw connections cannot have. */
export function checkRawTls(tls: unknown, problems: string[]): void {
  if (isRecord(tls) && tls['http2'] === true) {
    problems.push('tls.http2: cannot be used with --tcp, which does not read what TLS carries; leave one of them out');
  }
}

/** Creates the balancer. Of one of raw connections, the binary uses only what both kinds have. */
export async function createEither(tcp: boolean, options: BalancerOptions): Promise<Balancer> {
  if (!tcp) return createBalancer(options);
  const { createTcpBalancer } = await import('../tcp/tcp-balancer.ts');
  return createTcpBalancer(options) as unknown as Balancer;
}

/** The line that says that it is ready. */
export function readyLine(strategies: string, addresses: string, tcp: boolean): string {
  const what = tcp ? 'TCP load balancer' : 'Load balancer';
  return `${what} with ${strategies} listening on ${tcp ? asTcp(addresses) : addresses}`;
}

/** Addresses as `listening.ts` writes them, for raw connections. */
export function asTcp(addresses: string): string {
  return addresses.replaceAll('http://', 'tcp://').replaceAll('https://', 'tls://');
}
