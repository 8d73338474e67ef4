/**
 * The rules of an exchange whose route or hook has set limits of its own.
 */
import type { Clock } from '../loop/clock.ts';
import type { ParsedLimits } from '../options/limits.ts';
import type { PoolRules } from '../pools/pool.ts';

/** `rules` with `limits` in their place. Has the clock tick often enough for them. */
export function limited(rules: PoolRules, limits: ParsedLimits, clock: Clock): PoolRules {
  const made: PoolRules = {
    changeOrigin: rules.changeOrigin,
    proxyProtocol: rules.proxyProtocol,
    connectTimeoutMs: limits.connectTimeoutMs ?? rules.connectTimeoutMs,
    responseTimeoutMs: limits.responseTimeoutMs ?? rules.responseTimeoutMs,
    totalTimeoutMs: limits.totalTimeoutMs ?? rules.totalTimeoutMs,
    queueTimeoutMs: limits.queueTimeoutMs ?? rules.queueTimeoutMs,
    idleTimeoutMs: limits.idleTimeoutMs ?? rules.idleTimeoutMs,
    tunnelIdleTimeoutMs: limits.tunnelIdleTimeoutMs ?? rules.tunnelIdleTimeoutMs,
    maxAttempts: limits.maxAttempts ?? rules.maxAttempts,
    maxReplayBytes: limits.maxReplayBytes ?? rules.maxReplayBytes,
    retryOn: limits.retryOn ?? rules.retryOn,
  };
  clock.heed(Math.min(
    made.connectTimeoutMs, made.responseTimeoutMs, made.totalTimeoutMs, made.queueTimeoutMs, made.idleTimeoutMs,
    made.tunnelIdleTimeoutMs,
  ));
  return made;
}
