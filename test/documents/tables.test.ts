/**
 * The tables of the documents match the code: options with their defaults, error codes, events, methods, flags.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createBalancer } from '../../src/balancer.ts';
import { USAGE } from '../../src/cli/arguments.ts';
import { parseLaunchOptions } from '../../src/cluster/options.ts';
import { type ErrorCode, meaningOf } from '../../src/errors.ts';
import { EVENT_NAMES } from '../../src/events.ts';
import { OPTION_NAMES } from '../../src/options/parse.ts';
import { POOL_OPTION_NAMES } from '../../src/options/pool.ts';
import { documentAt, root, rowsOf, spansOf } from '../support/documents.ts';
import { settingsOf } from '../support/options.ts';

/** The part of a text below a heading, down to the next one of its kind. */
function section(text: string, heading: string): string {
  const [, below = ''] = text.split(`\n## ${heading}\n`);
  assert.notEqual(below, '', `there is a section ${heading}`);
  return below.split('\n## ')[0] ?? '';
}

/** All codes, read from the source: there is no list of them at run time. */
const source = readFileSync(join(root, 'src/errors.ts'), 'utf8');
const codes = [...source.matchAll(/^ {2}([A-Z_]+): (?:meaning|retryable)\(/gm)]
  .map(([, code = '']) => code as ErrorCode);

const nameIn = (cell = ''): string => spansOf(cell)[0] ?? '';

test('the tables of options name each option with its default and what it belongs to', () => {
  const [text = '', ofFiles = ''] = documentAt('src/options/README.md').text.split('\n## In a configuration file\n');
  assert.deepEqual(rowsOf(ofFiles).flatMap(([cell = '']) => spansOf(cell)).sort(),
    ['$schema', 'accessLog', 'accessLogFormat', 'admin', 'adminHosts', 'adminTokenFile', 'drainTimeout', 'listen',
      'logFormat', 'pidFile', 'proxyProtocol', 'reloadTimeout', 'shadow', 'stopDelay', 'strategy', 'tcp', 'tls',
      'upstreamTls', 'workers'].sort());
  const entries = /\n\| key \|[^]*?\n\n/.exec(text)?.[0] ?? '';
  assert.deepEqual(rowsOf(entries).map(([cell]) => nameIn(cell)).sort(),
    ['healthCheck', 'maxInFlight', 'origin', 'tags', 'weight']);
  const rows = new Map(rowsOf(text.replace(entries, '\n')).map(([cell, value = '']) => [nameIn(cell), value]));
  assert.deepEqual([...rows.keys()].sort(), [...OPTION_NAMES].sort());
  for (const [name, , of] of rowsOf(text.replace(entries, '\n'))) {
    assert.equal(of, POOL_OPTION_NAMES.includes(nameIn(name)) ? 'pool' : 'front', name);
  }
  for (const [name, value] of Object.entries(settingsOf({ upstreams: [] }))) {
    if (typeof value !== 'number') continue;
    // Of proxyProtocol, 0 stands for none inside.
    const shown = value === Infinity ? 'no limit' : name === 'proxyProtocol' ? 'none' : String(value);
    assert.equal(rows.get(name)?.replaceAll('`', ''), shown, name);
  }
});

test('the table of launcher options names each option with its default', () => {
  const table = section(documentAt('src/cluster/README.md').text, 'Options');
  const rows = new Map(rowsOf(table).flatMap(([names = '', value = '']) => (
    spansOf(names).map((name) => [name, value.replaceAll('`', '')] as const))));
  const settings = parseLaunchOptions({});
  assert.deepEqual([...rows.keys(), 'time', 'rng'].sort(), [...Object.keys(settings), 'listen'].sort());
  for (const [name, value] of Object.entries(settings)) {
    if (name === 'workers') assert.equal(rows.get(name), "'auto'");
    else if (typeof value === 'number') assert.equal(rows.get(name), String(value), name);
  }
  assert.equal(rows.get('distribution'), `'${settings.distribution}'`);
});

describe('the tables of error codes', () => {
  const { text } = documentAt('src/errors.md');
  const sections = {
    downstream: 'The request is at fault',
    upstream: 'The upstream is at fault',
    internal: 'The balancer, its machine or your code is at fault',
  } as const;

  test('name every code once', () => {
    assert.ok(codes.length > 40, 'the codes are found in the source');
    assert.deepEqual(rowsOf(text).map(([cell]) => nameIn(cell)).sort(), [...codes].sort());
  });

  for (const [fault, heading] of Object.entries(sections)) {
    test(`have the status, source and retries of the code: ${fault}`, () => {
      for (const [cell, status, cause = '', cure = ''] of rowsOf(section(text, heading))) {
        const code = nameIn(cell);
        const meaning = meaningOf(code as ErrorCode);
        assert.equal(meaning.source, fault, code);
        assert.equal(status, String(meaning.status), code);
        assert.equal(cause.endsWith('Retried'), meaning.retryable, code);
        assert.notEqual(cure, '', code);
      }
    });
  }

  test('say of which options that they have', () => {
    const named = spansOf(text).filter((span) => /^(?:max|min)[A-Z]\w+$|TimeoutMs$/.test(span));
    assert.deepEqual(named.filter((name) => !OPTION_NAMES.has(name)), []);
  });
});

test('the life of a request has the same statuses as the code', () => {
  const drawing = documentAt('src/README.md').blocks.find(({ code }) => code.startsWith(' client\n'))?.code ?? '';
  let checked = 0;
  // A status applies to all codes since the previous status.
  for (const [, names = '', status] of drawing.matchAll(/([^(\d]*)\b(\d{3})\b/g)) {
    for (const [name] of names.matchAll(/\b[A-Z]+_[A-Z_]*\*?/g)) {
      const meant = name.endsWith('*')
        ? codes.filter((code) => code.startsWith(name.slice(0, -1)) && !drawing.includes(code))
        : codes.filter((code) => code === name);
      assert.ok(meant.length > 0, `${name} is a code`);
      for (const code of meant) {
        assert.equal(String(meaningOf(code).status), status, code);
        checked++;
      }
    }
  }
  assert.ok(checked > 25, `${checked} statuses were found`);
});

test('the table of events names each event', () => {
  const table = section(documentAt('src/fronts/README.md').text, 'Events and membership');
  assert.deepEqual(rowsOf(table).flatMap(([cell = '']) => spansOf(cell)).sort(), [...EVENT_NAMES].sort());
});

test('the table of methods names every method of a balancer', async () => {
  const rows = rowsOf(section(documentAt('README.md').text, 'Embed it'));
  const named = rows.flatMap(([cell = '']) => spansOf(cell)).map((span) => /^\w+/.exec(span)?.[0] ?? '');
  const balancer = createBalancer({ upstreams: [] });
  try {
    const prototype = Object.getPrototypeOf(balancer) as object;
    const own = [...Object.getOwnPropertyNames(prototype), ...Object.keys(balancer)];
    const expected = own.filter((name) => name !== 'constructor' && name !== 'strategy');
    assert.deepEqual(named.sort(), expected.sort());
    assert.deepEqual(rows.filter(([cell = '']) => cell.startsWith('`on(')).flatMap(([, names = '']) => (
      [...spansOf(names)].sort())), [...EVENT_NAMES].sort());
  } finally {
    await balancer.close();
  }
});

test('the usage in the README has exactly the flags of the binary', () => {
  const block = documentAt('README.md').blocks.find(({ code }) => code.includes('--listen'))?.code ?? '';
  const flagsOf = (text: string): readonly string[] => [...text.matchAll(/^ {0,6}(?:-\w, )?--\w[\w-]*(?: <.*?>)?/gm)]
    .map(([flag]) => flag.trim()).sort();
  // The README has the last two on one line.
  const expected = flagsOf(USAGE).filter((flag) => flag !== '--help');
  assert.ok(expected.length >= 10, 'the flags are found in the usage');
  assert.deepEqual(flagsOf(block), expected);
  assert.match(block, /--version, --help$/m);
});

test('the table of strategies names the shipped ones', () => {
  const { text } = documentAt('strategies/README.md');
  const names = rowsOf(section(text, 'What ours do')).map(([cell]) => nameIn(cell)).sort();
  assert.deepEqual(names, [
    'leastBusy()', 'leastConnections()', 'maglev()', 'peakEwma()', 'powerOfTwo()', 'random()', 'rendezvous()',
    'ringHash()', 'roundRobin()', 'weightedByLoad()',
  ]);
});
