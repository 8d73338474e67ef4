/**
 * Which of the two formats a scraper wants (RFC 9110 §12.5.1).
 */
import type { Exposition } from './exposition.ts';

/** OpenMetrics where `accept` prefers it; else the format that every scraper reads. */
export function negotiated(accept: string | undefined): Exposition {
  let open = 0;
  let plain = 0;
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const quality = qualityOf(parameters);
    const version = parameters.find((parameter) => parameter.startsWith('version='))?.slice('version='.length);
    if (type === 'application/openmetrics-text' && (version === undefined || unquoted(version) === '1.0.0')) {
      open = Math.max(open, quality);
    } else if (type === 'text/plain' && (version === undefined || unquoted(version) === '0.0.4')) {
      plain = Math.max(plain, quality);
    }
  }
  return open > plain ? 'openmetrics' : 'prometheus';
}

function qualityOf(parameters: readonly string[]): number {
  const given = parameters.find((parameter) => parameter.startsWith('q='));
  if (given === undefined) return 1;
  const quality = Number(given.slice('q='.length));
  return quality >= 0 && quality <= 1 ? quality : 0;
}

function unquoted(text: string): string {
  return text.replace(/^"(.*)"$/, '$1');
}
