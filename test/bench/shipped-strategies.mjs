/** The strategies that are shipped, from the build. */
import { readdirSync } from 'node:fs';

const folder = new URL('../../dist/strategies/', import.meta.url);

/**
 * A list of `{ name, make }`. What wraps another strategy or needs arguments is left out
 * and named in `others`.
 */
export async function shippedStrategies() {
  const [found, others] = [[], []];
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.js')).sort()) {
    for (const [name, make] of Object.entries(await import(new URL(file, folder)))) {
      if (isStrategy(make)) found.push({ name: make().name, make });
      else if (typeof make === 'function') others.push(name);
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
