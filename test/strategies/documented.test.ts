/**
 * The documents' strategies in TypeScript: each has a twin here that differs from it only in its types, and that
 * compiles under the strictest settings for everything it can pick: upstreams, workers, or both.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import ts from 'typescript';
import { documents, root } from '../support/documents.ts';

interface Twin {
  /** `C` stands for what is picked. */
  readonly code: string;
  /** What it needs that a worker does not have, if it is only for upstreams. */
  readonly lacking?: string;
}

/** By the name of the file that the first line of the block gives. */
const TWINS: Readonly<Record<string, Twin>> = {
  'fastest-of-two.js': {
    // `pick` is never given an empty list, which the type of a list cannot say: hence the one assertion.
    code: `
// fastest-of-two.js: of two candidates drawn at random, the one that answers sooner
export default function fastestOfTwo({ rng = Math.random }: { readonly rng?: () => number } = {}): Strategy<C> {
  const draw = (candidates: readonly C[]): C => candidates[Math.floor(rng() * candidates.length)] as C;
  const cost = ({ latencyMs, inFlight }: C, known: boolean): number => (known ? latencyMs : 1) * (inFlight + 1);
  return {
    name: 'fastest-of-two',
    pick(candidates) {
      const [a, b] = [draw(candidates), draw(candidates)];
      const known = a.latencyMs > 0 && b.latencyMs > 0; // 0 before the first response
      return cost(a, known) <= cost(b, known) ? a : b;
    },
  };
}
`,
    lacking: 'latencyMs',
  },
  'mine.mjs': {
    code: `
// mine.mjs: of two random candidates, the one that has less in flight
export default ({ rng }: { readonly rng: () => number }): Strategy<C> => ({
  name: 'mine',
  pick(candidates) {
    const one = candidates[Math.floor(rng() * candidates.length)] as C;
    const other = candidates[Math.floor(rng() * candidates.length)] as C;
    return one.inFlight <= other.inFlight ? one : other;
  },
});
`,
  },
  'sticky.js': {
    // A pick of a worker has no request and no `full`: both assertions are for it alone.
    code: `
// sticky.js: a user stays on one upstream
export default function sticky(): Strategy<C> {
  return {
    name: 'sticky',
    picksFull: true,
    pick(candidates, { request, full = [] }) {
      const user = (request as PickRequest | undefined)?.header('authorization') ?? '';
      let best: C | undefined;
      let most = -1;
      for (const candidate of [...candidates, ...full as readonly (C & Upstream)[]]) {
        const score = hash(\`\${user} \${candidate.id}\`);
        if (score > most) [best, most] = [candidate, score];
      }
      return best;
    },
  };
}

function hash(text: string): number { // FNV-1a, then mixed
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x45d9f3b);
  return (h ^ (h >>> 16)) >>> 0;
}
`,
  },
};

// A program with a strategy within it is run as a whole, by the tests of the documents.
const shown = documents.flatMap(({ path, blocks }) => blocks
  .filter(({ language, code }) => language === 'js' && /\bpick\(/.test(code) && !/\bcreateBalancer\(/.test(code))
  .map(({ code }) => ({ path, code, file: /^\/\/ (\S+\.m?js)/.exec(code)?.[1] ?? '(a block that names no file)' })));

test('every strategy in the documents has a twin here', () => {
  assert.deepEqual(shown.map(({ file }) => file).sort(), Object.keys(TWINS).sort());
});

for (const { path, code, file } of shown) {
  describe(`${file} in ${path}`, () => {
    const twin = TWINS[file] ?? { code: '' };

    test('is its typed twin without the types', () => {
      assert.equal(withoutTypes(twin.code), withoutTypes(code));
    });

    test('compiles as a strategy of upstreams', () => {
      assert.deepEqual(diagnosticsOf(twin.code, 'Upstream'), []);
    });

    const { lacking } = twin;
    if (lacking === undefined) {
      test('compiles as a strategy of workers', () => {
        assert.deepEqual(diagnosticsOf(twin.code, 'WorkerCandidate'), []);
      });
    } else {
      test(`is refused as a strategy of workers, for ${lacking} alone`, () => {
        const found = diagnosticsOf(twin.code, 'WorkerCandidate');
        assert.notDeepEqual(found, []);
        const pattern = new RegExp(`Property '${lacking}' does not exist on type 'WorkerCandidate'`);
        for (const message of found) assert.match(message, pattern);
      });
    }
  });
}

/** The settings of this repository, with the two that matter most here always on. */
const settings = ts.readConfigFile(join(root, 'tsconfig.json'), (name) => ts.sys.readFile(name));
const options: ts.CompilerOptions = {
  ...ts.parseJsonConfigFileContent(settings.config, { ...ts.sys, readDirectory: () => [] }, root).options,
  strict: true,
  noUncheckedIndexedAccess: true,
  // A strategy needs nothing from Node.js, and its types would take most of the time.
  types: [],
};

/** What is left of a file when its types are erased, in the compiler's own layout. */
function withoutTypes(code: string): string {
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext };
  return ts.transpileModule(code, { compilerOptions }).outputText.trim();
}

/** The compiler's diagnostics for a strategy; `C` is the type that it picks. */
function diagnosticsOf(code: string, candidate: 'Upstream' | 'WorkerCandidate'): string[] {
  // After the code, so that line numbers in messages are those of the twin.
  const text = `${code}
type C = ${candidate};
import type { PickRequest, Strategy, Upstream, WorkerCandidate } from '../../src/strategy.ts';
export type Used = C | PickRequest | Strategy | Upstream | WorkerCandidate;
`;
  const path = join(root, 'test/strategies/documented-strategy.ts');
  const disk = ts.createCompilerHost(options);
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (name) => name === path || disk.fileExists(name),
    getSourceFile: (name, version, ...rest) => (
      name === path ? ts.createSourceFile(name, text, version) : disk.getSourceFile(name, version, ...rest)),
  };
  const program = ts.createProgram([path], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
