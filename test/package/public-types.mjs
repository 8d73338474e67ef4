/**
 * The report of the public types: each name that an entry point of the package exports, and each type that these
 * refer to, as API Extractor reads them from the declarations in `dist`. `npm run public-types` writes it to
 * public-types.txt, where reviewers see how a change affects the types; a test compares the two.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CompilerState, Extractor, ExtractorConfig } from '@microsoft/api-extractor';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const reportPath = fileURLToPath(new URL('public-types.txt', import.meta.url));

/** The whole report. Throws if a declaration does not compile. */
export function report() {
  const folder = mkdtempSync(join(tmpdir(), 'equipoise-types-'));
  try {
    const entries = entryPoints();
    const configs = entries.map(({ path }) => configFor(path, folder));
    const compilerState = CompilerState.create(configs[0], { additionalEntryPoints: entries.map(({ path }) => path) });
    // Types that several entry points refer to are listed once, at the first one.
    const seen = new Set();
    const sections = entries.map(({ name }, at) => {
      const listed = declarations(configs[at], compilerState).filter((text) => {
        const same = text.replace(/^export /, '');
        const isNew = text !== same || !seen.has(same);
        seen.add(same);
        return isNew;
      });
      return `\n===== ${name} =====\n\n${listed.join('\n\n')}\n`;
    });
    return `The public types, written by npm run build && npm run public-types. Do not edit.\n${sections.join('')}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The entry points of package.json, with `*` expanded: the name of each and the path of its declarations. */
function entryPoints() {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  return Object.entries(manifest.exports).flatMap(([key, { types }]) => {
    if (types === undefined) return [];
    const name = manifest.name + key.slice(1);
    const [folder, after] = types.split('*');
    if (after === undefined) return [{ name, path: join(root, types) }];
    const files = readdirSync(join(root, folder)).filter((file) => file.endsWith(after)).sort();
    return files.map((file) => ({ name: name.replace('*', file.slice(0, -after.length)), path: join(root, folder, file) }));
  });
}

function configFor(path, folder) {
  const compilerOptions = {
    target: 'es2022', module: 'nodenext', moduleResolution: 'nodenext', strict: true, skipLibCheck: true,
    lib: ['es2023'], types: ['node'],
  };
  const ignored = { default: { logLevel: 'none' } };
  return ExtractorConfig.prepare({
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: path,
      compiler: { overrideTsconfig: { compilerOptions, files: [path] } },
      apiReport: {
        enabled: true, reportFolder: folder, reportTempFolder: folder, reportFileName: 'report.api.md',
        includeForgottenExports: true,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: 'error' } },
        extractorMessageReporting: ignored,
        tsdocMessageReporting: ignored,
      },
    },
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, 'package.json'),
  });
}

/** The declarations that an entry point refers to, without comments, each as its own text. */
function declarations(config, compilerState) {
  Extractor.invoke(config, {
    compilerState,
    localBuild: true,
    messageCallback: (message) => {
      message.handled = true;
      if (message.logLevel === 'error') throw new Error(message.text);
    },
  });
  const [, code = ''] = /```ts\n([^]*)```/.exec(readFileSync(config.reportFilePath, 'utf8').replaceAll('\r', '')) ?? [];
  // Comments change more often than types, and are reviewed in the source.
  const bare = code.replace(/^ *\/\*\*?[^]*?\*\/\n/gm, '').replace(/^ *\/\/.*\n/gm, '');
  return bare.split(/\n{2,}/).map((text) => text.trim()).filter((text) => text !== '');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(reportPath, report());
