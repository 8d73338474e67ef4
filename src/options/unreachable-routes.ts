/**
 * Routes that no request can reach.
 */
import type { ParsedRoute } from './parsed-route.ts';

/** A route and its place in the list. */
interface Placed {
  readonly route: ParsedRoute;
  readonly index: number;
}

/**
 * Adds a problem for each route whose requests all go to a pool by one earlier route: it was meant to come first. An
 * earlier route that answers or redirects may cover others: that is how a part of a site is closed for a while.
 */
export function unreachable(routes: readonly Placed[], problems: string[]): void {
  const earlier = new Map<string, Placed[]>();
  for (const placed of routes) {
    const { host, path, action } = placed.route;
    const cover = coverOf(placed.route, earlier);
    if (cover !== undefined) {
      const [at, by] = [`routes[${placed.index}]`, `routes[${cover.index}]`];
      problems.push(isSame(placed.route, cover.route)
        ? `${at}: takes the same requests as ${by}, which comes first; remove one`
        : `${at}: is never reached, since ${by} takes all of its requests; move it before ${by}`);
    } else if (action.kind === 'pool') {
      const key = keyOf(host, path);
      const list = earlier.get(key);
      if (list === undefined) earlier.set(key, [placed]);
      else list.push(placed);
    }
  }
}

/** A route that takes all that `route` would. Looked up by what is more general, so a long list takes no square. */
function coverOf(route: ParsedRoute, earlier: ReadonlyMap<string, readonly Placed[]>): Placed | undefined {
  for (const host of wider(route.host)) {
    for (let path = route.path; ; path = path.slice(0, path.lastIndexOf('/'))) {
      const cover = earlier.get(keyOf(host, path))?.find((one) => hasMethods(one.route, route));
      if (cover !== undefined) return cover;
      if (path === '') break;
    }
  }
  return undefined;
}

/** The hosts of routes that take all requests for `host`: itself, wildcards, every host. */
function wider(host: string): string[] {
  const hosts = [host];
  const name = host.startsWith('*.') ? host.slice(2) : host;
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) hosts.push(`*${name.slice(dot)}`);
  if (host !== '') hosts.push('');
  return hosts;
}

function hasMethods({ methods }: ParsedRoute, { methods: wanted }: ParsedRoute): boolean {
  return methods === undefined || (wanted?.every((method) => methods.includes(method)) ?? false);
}

function isSame(one: ParsedRoute, other: ParsedRoute): boolean {
  return one.host === other.host && one.path === other.path && hasMethods(one, other) && hasMethods(other, one);
}

function keyOf(host: string, path: string): string {
  return `${host} ${path}`;
}
