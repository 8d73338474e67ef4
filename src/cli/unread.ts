/**
 * Bounds how long a response of the admin listener may wait for its reader: a scraper that reads a byte a second would
 * otherwise hold it in memory for as long as it likes.
 */
import type { ServerResponse } from 'node:http';

/** Cuts the connection if the whole response is there after `ms`, but not taken. A stream of events has no end yet. */
export function cutUnread(response: ServerResponse, ms: number): void {
  const timer = setTimeout(() => {
    if (response.writableEnded) response.destroy();
  }, ms).unref();
  response.once('close', () => {
    clearTimeout(timer);
  });
}
