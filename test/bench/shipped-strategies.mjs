/** The strategies that are shipped, from the build. */
import { readdirSync } from 'node:fs';

const folder = new URL('../../dist/strategies/', import.meta.url);

/**
 * A list of `{ name, make }`. What is no strategy by itself, but wraps one or needs to be told something, is left out
 * and named in `others`.
 */
export async function shippedStrategies() {
  const [found, others] = [[], []];
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.js')).sort()) {
    const exported = Object.entries(await import(new URL(file, folder))).filter(([, value]) => typeof value === 'function');
    for (const [name, make] of exported) {
      if (isStrategy(make)) found.push({ name: make().name, make });
      else others.push(name);
    }
  }
  return { found, others };
}

function isStrategy(make) {
  try {
    return typeof make().pick === 'function';
  } catch {
    return false;
  }
}
