import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Queue, type Waiting } from '../../src/pools/queue.ts';

/** An entry that waits for room in general, or for its own room. */
class Guest implements Waiting {
  ahead: Waiting | undefined;
  behind: Waiting | undefined;
  readonly name: string;
  readonly #world: World;
  readonly particular: boolean;
  /** What it does when it is resumed. */
  then: (() => void) | undefined;

  constructor(world: World, name: string, particular = false) {
    this.#world = world;
    this.name = name;
    this.particular = particular;
  }

  get ready(): boolean {
    return this.particular ? this.#world.own.has(this.name) : this.#world.room > 0;
  }

  proceed(): void {
    this.#world.room--;
    this.#world.went.push(this.name);
    this.then?.();
  }
}

class World {
  readonly queue: Queue;
  room = 0;
  /** The entries with their own room. */
  readonly own = new Set<string>();
  readonly went: string[] = [];
  readonly faults: unknown[] = [];

  constructor(max = Infinity) {
    this.queue = new Queue(max, (cause) => {
      this.faults.push(cause);
    });
  }

  guest(name: string, particular = false): Guest {
    const guest = new Guest(this, name, particular);
    assert.equal(this.queue.enter(guest), true);
    return guest;
  }

  guests(names: string): Guest[] {
    return Array.from(names, (name) => this.guest(name));
  }

  wake(room: number): string {
    this.room = room;
    this.queue.wake();
    return this.went.splice(0).join('');
  }
}

describe('a queue', () => {
  test('resumes as many as find room, in order of arrival', () => {
    const world = new World();
    world.guests('abcde');
    assert.equal(world.wake(2), 'ab');
    assert.equal(world.queue.length, 3);
    assert.equal(world.wake(0), '');
    assert.equal(world.wake(1), 'c');
    assert.equal(world.wake(9), 'de');
    assert.equal(world.queue.length, 0);
    assert.equal(world.wake(9), '');
  });

  test('takes no more than its limit', () => {
    const world = new World(2);
    world.guests('ab');
    assert.equal(world.queue.enter(new Guest(world, 'c')), false);
    world.wake(1);
    world.guest('d');
    assert.equal(world.wake(9), 'bd');
  });

  test('of 0 disables waiting', () => {
    const world = new World(0);
    assert.equal(world.queue.enter(new Guest(world, 'a')), false);
    assert.equal(world.wake(9), '');
  });

  test('forgets entries that leave', () => {
    const world = new World(3);
    const [a, b] = world.guests('abc');
    assert.ok(a !== undefined && b !== undefined);
    world.queue.leave(b);
    world.queue.leave(b);
    assert.equal(world.queue.length, 2);
    world.guest('d');
    assert.equal(world.wake(9), 'acd');
    world.queue.leave(a);
    assert.equal(world.queue.length, 0);
  });

  test('does not resume an entry that leaves while others resume', () => {
    const world = new World();
    const [a, b] = world.guests('abc');
    assert.ok(a !== undefined && b !== undefined);
    a.then = () => {
      world.queue.leave(b);
    };
    assert.equal(world.wake(9), 'ac');
  });

  test('is not held up by an entry that waits for a particular upstream', () => {
    const world = new World();
    world.guest('a', true);
    world.guests('b');
    world.guest('c', true);
    world.guests('de');
    assert.equal(world.wake(2), 'bd');
    world.own.add('c');
    assert.equal(world.wake(0), 'c');
    world.own.add('a');
    assert.equal(world.wake(2), 'ae');
  });

  test('resumes entries that find room after one that resumed and was done at once', () => {
    const world = new World();
    const guests = world.guests('abcd');
    for (const guest of guests) {
      guest.then = () => {
        world.room++;
        world.queue.wake();
      };
    }
    assert.equal(world.wake(1), 'abcd');
  });

  test('checks entries with a room of their own again when one was done at once', () => {
    const world = new World();
    world.guest('a', true);
    const b = world.guest('b');
    b.then = () => {
      world.own.add('a');
      world.queue.wake();
    };
    assert.equal(world.wake(1), 'ba');
  });

  test('keeps the place of an entry that resumes only to wait again', () => {
    const world = new World(3);
    const [a, b, c] = world.guests('abc');
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    for (const guest of [a, c]) {
      guest.then = () => {
        guest.then = undefined;
        assert.equal(world.queue.hasRoom, true);
        assert.equal(world.queue.enter(guest), true);
      };
    }
    assert.equal(world.wake(3), 'abc');
    assert.equal(world.queue.length, 2);
    world.guest('d');
    assert.equal(world.wake(9), 'acd');
    assert.equal(world.queue.length, 0);
  });

  test('lets an entry that waits again leave meanwhile', () => {
    const world = new World();
    const [a] = world.guests('ab');
    assert.ok(a !== undefined);
    a.then = () => {
      world.queue.enter(a);
      world.queue.leave(a);
    };
    assert.equal(world.wake(1), 'a');
    assert.equal(world.wake(9), 'b');
    assert.equal(world.queue.length, 0);
  });

  test('resumes entries that arrive while the last one resumes', () => {
    const world = new World();
    const [, b] = world.guests('ab');
    assert.ok(b !== undefined);
    b.then = () => {
      world.guest('c');
    };
    assert.equal(world.wake(9), 'abc');
  });

  test('resumes the others, now and later, when one throws', () => {
    const world = new World();
    const broken = new Error('broken');
    const [, b, c] = world.guests('abcde');
    assert.ok(b !== undefined && c !== undefined);
    b.then = () => {
      throw broken;
    };
    // An entry that had entered again before it threw does not wait either: nothing would end it.
    c.then = () => {
      world.queue.enter(c);
      throw broken;
    };
    assert.equal(world.wake(4), 'abcd');
    assert.deepEqual(world.faults, [broken, broken]);
    assert.equal(world.queue.length, 1);
    assert.equal(world.wake(9), 'e');
    world.guest('f');
    assert.equal(world.wake(9), 'f');
  });

  test('leaves no links in entries that leave', () => {
    const world = new World();
    const guests = world.guests('abcdef');
    const [a, , c, , , f] = guests;
    for (const guest of [a, c, f]) if (guest !== undefined) world.queue.leave(guest);
    assert.equal(world.wake(9), 'bde');
    assert.ok(guests.every(({ ahead, behind }) => ahead === undefined && behind === undefined));
  });

  test('of ten thousand that are done at once needs no deep stack', () => {
    const world = new World();
    let deepest = 0;
    for (let i = 0; i < 10_000; i++) {
      world.guest(String(i)).then = () => {
        deepest = Math.max(deepest, depth());
        world.room++;
        world.queue.wake();
      };
    }
    const here = depth();
    world.room = 1;
    world.queue.wake();
    assert.deepEqual(world.went, Array.from({ length: 10_000 }, (_, i) => String(i)));
    assert.ok(deepest - here < 10, `${deepest} frames, ${here} at the start`);
  });
});

/** The frames of the stack, up to a hundred. */
function depth(): number {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 100;
  const { stack = '' } = new Error('here');
  Error.stackTraceLimit = before;
  return stack.split('\n').length;
}
