/**
 * Hooks that do nothing: with them a balancer must behave exactly as it does without any. `EQUIPOISE_HOOKS=sync`
 * (or `async`) runs all tests that use `startBalancer` with them.
 */
import assert from 'node:assert/strict';
import type { Hooks } from '../../src/hooks.ts';

export const SYNC_HOOKS: Hooks = {
  onRequest() {
    return undefined;
  },
  onResponse() {
    return undefined;
  },
  onError() {
    return undefined;
  },
};

export const ASYNC_HOOKS: Hooks = {
  onRequest: async () => {
    await Promise.resolve();
  },
  onResponse: async () => {
    await Promise.resolve();
  },
  onError: async () => {
    await Promise.resolve();
  },
};

/** The hooks that the environment asks for. */
export const HOOKS_OF_ENVIRONMENT: Hooks | undefined = hooksNamed(process.env['EQUIPOISE_HOOKS'] ?? '');

function hooksNamed(name: string): Hooks | undefined {
  assert.match(name, /^(?:sync|async)?$/, 'EQUIPOISE_HOOKS must be sync, async or empty');
  return name === '' ? undefined : name === 'sync' ? SYNC_HOOKS : ASYNC_HOOKS;
}
