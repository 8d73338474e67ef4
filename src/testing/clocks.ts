/**
 * Finds code that reads a clock of its own.
 */

/** Runs `run`, and returns the names of the clocks that it read. Whatever happens, they are as before afterwards. */
export function clocksReadBy(run: () => void): readonly string[] {
  const read = new Set<string>();
  const restores: (() => void)[] = [];
  const replace = (target: object, key: string, value: unknown): void => {
    const own = Object.getOwnPropertyDescriptor(target, key);
    const enumerable = own?.enumerable ?? false;
    Object.defineProperty(target, key, { value, configurable: true, writable: true, enumerable });
    restores.push(() => {
      if (own === undefined) Reflect.deleteProperty(target, key);
      else Object.defineProperty(target, key, own);
    });
  };
  const watch = (target: object, key: string, name: string): void => {
    const original = Reflect.get(target, key) as object;
    replace(target, key, new Proxy(original, {
      apply(method, self, args) {
        read.add(name);
        return Reflect.apply(method as () => unknown, self, args) as unknown;
      },
    }));
  };
  try {
    watch(Date, 'now', 'Date.now()');
    watch(performance, 'now', 'performance.now()');
    watch(process.hrtime, 'bigint', 'process.hrtime.bigint()');
    watch(process, 'hrtime', 'process.hrtime()');
    replace(globalThis, 'Date', new Proxy(Date, {
      apply(method, self, args) {
        read.add('Date()');
        return Reflect.apply(method, self, args) as string;
      },
      construct(method, args, target) {
        if (args.length === 0) read.add('new Date()');
        return Reflect.construct(method, args, target) as object;
      },
    }));
    run();
  } finally {
    for (const restore of restores.reverse()) restore();
  }
  return [...read];
}
