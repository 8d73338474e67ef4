/**
 * Documents refer only to what exists (links, headings, files), and stay readable.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, test } from 'node:test';
import { type Document, documentAt, documents, root, spansOf } from '../support/documents.ts';

const MAX_LINE = 120;
const MAX_ROOT_LINES = 250;

test('each room that newcomers are pointed to has a document', () => {
  const paths = new Set(documents.map(({ path }) => path));
  for (const path of [
    'README.md', 'CHANGELOG.md', '.github/CONTRIBUTING.md', '.github/SECURITY.md', 'src/README.md', 'src/errors.md',
    'src/options/README.md', 'src/fronts/README.md', 'src/upstreams/README.md', 'src/cluster/README.md',
    'strategies/README.md', 'test/README.md', 'test/bench/README.md',
  ]) assert.ok(paths.has(path), path);
});

test(`the root README has fewer than ${MAX_ROOT_LINES} lines`, () => {
  assert.ok(documentAt('README.md').text.split('\n').length <= MAX_ROOT_LINES);
});

test('the changelog has at most one section of each kind per version', () => {
  const versions = documentAt('CHANGELOG.md').text.split('\n## ').slice(1);
  assert.ok(versions.length > 0);
  for (const version of versions) {
    const kinds = [...version.matchAll(/^### (.*)$/gm)].map(([, kind]) => kind);
    assert.deepEqual(kinds, [...new Set(kinds)]);
  }
});

for (const document of documents) {
  describe(document.path, () => {
    test(`has lines of at most ${MAX_LINE} characters, except in tables`, () => {
      const long = document.text.split('\n').filter((line) => !line.startsWith('|') && line.length > MAX_LINE);
      assert.deepEqual(long, []);
    });

    test('has no broken links', () => {
      for (const [, link = ''] of document.prose.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(link)) continue;
        const [file = '', heading] = link.split('#');
        const target = file === '' ? document.path : normalize(join(dirname(document.path), file));
        assert.ok(existsSync(join(root, target)), link);
        if (heading !== undefined) assert.ok(headingsOf(documentAt(target)).has(heading), `${link}: no such heading`);
      }
    });

    test('names only files that exist', () => {
      const paths = spansOf(document.prose).filter((span) => /^(?:src|strategies|test)\/[\w./-]+$/.test(span));
      assert.deepEqual(paths.filter((path) => !existsSync(join(root, path))), []);
    });
  });
}

/** The headings as GitHub and npm name them in links. */
function headingsOf({ prose }: Document): ReadonlySet<string> {
  return new Set([...prose.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => (
    heading.toLowerCase().replace(/[^\w\- ]/g, '').replaceAll(' ', '-'))));
}
