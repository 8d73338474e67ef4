/**
 * What the live page concludes from the events: its script, run on a document that has just what it uses.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import vm from 'node:vm';
import { SCRIPT } from '../../../src/observe/admin/page/script.ts';

interface Upstream { readonly state?: string; readonly weight?: number; readonly latencyMs?: number; picks: number }

const [A, B, C] = ['http://a:1', 'http://b:1', 'http://c:1'];

describe('the verdict of the live page', () => {
  test('does not say that an upstream is avoided that has just returned, or whose weight has just changed', () => {
    const page = livePage();
    const [a, b, c] = [{ picks: 0 }, { picks: 0 }, { picks: 0, state: 'ejected' }];
    const tick = (shares: number[], others = {}): string => {
      [a, b, c].forEach((one, i) => {
        one.picks += shares[i] ?? 0;
      });
      return page.show({ [A]: a, [B]: b, [C]: { ...c, ...others } });
    };
    for (let i = 0; i < 12; i++) tick([50, 50, 0]);
    for (let i = 0; i < 12; i++) {
      assert.match(tick([40, 40, 20], { state: 'active', weight: 0.5 }), /Nothing stands out/, `after ${i} s`);
    }
    for (let i = 0; i < 12; i++) {
      assert.match(tick([10, 10, 80], { state: 'active', weight: 8 }), /Nothing stands out/, `weighed ${i} s ago`);
    }
    let text = '';
    for (let i = 0; i < 12; i++) text = tick([45, 45, 10], { state: 'active', weight: 8 });
    assert.match(text, /c:1 gets 10% of the requests, and not the 80% that its weight asks for: random avoids it\./);
  });

  test('does not call slow what takes no requests: its latency is that of other times', () => {
    const page = livePage();
    for (const state of ['ejected', 'drained', 'active']) {
      const text = page.show({
        [A]: { picks: 9, latencyMs: 5 }, [B]: { picks: 9, latencyMs: 5 }, [C]: { picks: 9, latencyMs: 90, state },
      });
      assert.equal(/\bslow\b/.test(text), state === 'active', text);
    }
  });

  test('tells once what two workers tell of one upstream', () => {
    const page = livePage();
    const told = (at: number, what: string): object => ({ at, what, pool: 'default', origin: A });
    page.show({ [A]: { picks: 1 } }, [
      told(9_060, 'drained'), told(9_050, 'draining'), told(9_020, 'drained'), told(9_010, 'draining'),
      told(1_000, 'draining'),
    ]);
    const lines = page.element('failures').children.map(({ text }) => text.replace(/^.*?http/, 'http'));
    assert.deepEqual(lines, [`${A} is drained`, `${A} gets no new requests`, `${A} gets no new requests`]);
  });
});

/** A page at which events arrive each second. */
function livePage(): {
  show(upstreams: Record<string, Upstream>, incidents?: object[]): string; element(id: string): Fake;
} {
  const elements = new Map<string, Fake>();
  const element = (id: string): Fake => {
    const found = elements.get(id) ?? new Fake();
    elements.set(id, found);
    return found;
  };
  const source: { onmessage?: (event: { data: string }) => void } = {};
  const nothing = (): void => undefined;
  const document = {
    hidden: false, body: new Fake(), activeElement: undefined, getElementById: element, addEventListener: nothing,
    createElement: () => new Fake(), createElementNS: () => new Fake(),
    createTextNode: (text: string) => Object.assign(new Fake(), { textContent: text }),
  };
  vm.runInNewContext(SCRIPT, {
    document, location: { pathname: '/' }, setInterval: nothing, setTimeout: nothing,
    EventSource: function () {
      return source;
    },
  });
  let at = 0;
  return {
    element,
    show(upstreams, incidents = []) {
      at += 1_000;
      const rest = { pool: 'default', state: 'active', weight: 1, latencyMs: 5, responses: 9, tags: {}, inFlight: 0,
        failures: 0, ejections: 0, maxInFlight: null };
      source.onmessage?.({ data: JSON.stringify({
        at, ready: true, incidents, decisions: [], workers: [], evidence: [],
        pools: [{ name: 'default', strategy: 'random' }],
        upstreams: Object.entries(upstreams).map(([origin, own]) => ({
          ...rest, origin, ...own, nominalWeight: own.weight ?? 1, configuredWeight: own.weight ?? 1,
        })),
      }) });
      return element('pools').text;
    },
  };
}

/** As much of an element as the script uses. */
class Fake {
  children: Fake[] = [];
  textContent = '';
  readonly style = {};
  readonly classList = { toggle: (): void => undefined };
  #parent: Fake | undefined;

  get text(): string {
    return [this.textContent, ...this.children.map(({ text }) => text)].join(' ').trim();
  }

  get lastChild(): Fake | undefined {
    return this.children.at(-1);
  }

  get childElementCount(): number {
    return this.children.length;
  }

  append(...all: (Fake | string)[]): void {
    for (const one of all) {
      this.insertBefore(one instanceof Fake ? one : Object.assign(new Fake(), { textContent: one }));
    }
  }

  appendChild(child: Fake): Fake {
    return this.insertBefore(child);
  }

  insertBefore(child: Fake, before: Fake | null = null): Fake {
    child.remove();
    const at = before === null ? this.children.length : this.children.indexOf(before);
    this.children.splice(at, 0, child);
    child.#parent = this;
    return child;
  }

  replaceChildren(...all: Fake[]): void {
    this.children = [];
    this.append(...all);
  }

  remove(): void {
    const siblings = this.#parent?.children;
    if (siblings?.includes(this) === true) siblings.splice(siblings.indexOf(this), 1);
  }

  setAttribute(): void {
    // Nothing here reads attributes.
  }

  removeAttribute(): void {
    // As above.
  }

  addEventListener(): void {
    // Nobody clicks.
  }
}
