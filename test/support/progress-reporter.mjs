/**
 * A reporter for node:test that a person can follow: failures in full, a line for each file as it ends, the slowest
 * files, and a closing line with the counts.
 */
import { relative, resolve } from 'node:path';
import process from 'node:process';
import { inspect } from 'node:util';

const SLOWEST = 8;

export default async function* progress(source) {
  const files = new Map();
  const all = { passed: 0, failed: 0, skipped: 0 };
  const startedAt = performance.now();
  for await (const { type, data } of source) {
    if (type === 'test:stderr') yield data.message;
    else if (type === 'test:complete') {
      if (!isFile(data)) continue;
      const file = of(files, data.file);
      file.ms = data.details.duration_ms;
      yield line(file, data.details.passed);
    } else if (type === 'test:pass' || type === 'test:fail') {
      const file = of(files, data.file);
      if (isFile(data)) {
        // It failed as a whole, at an import say: none of its tests tells.
        if (type === 'test:pass' || file.failed > 0) continue;
        all.failed++;
        yield failure(data);
      } else if (data.details.type !== 'suite') {
        const outcome = data.skip !== undefined ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed';
        all[outcome]++;
        file[outcome]++;
        if (outcome === 'failed') yield failure(data);
        if (typeof data.skip === 'string') yield `skipped: ${data.name}: ${data.skip}\n`;
      }
    }
  }
  const slowest = [...files.values()].sort((one, other) => other.ms - one.ms).slice(0, SLOWEST);
  yield `\nslowest: ${slowest.map(({ name, ms }) => `${name} ${seconds(ms)}`).join(', ')}\n`;
  yield `${seconds(performance.now() - startedAt)} in all\n`;
  yield `${all.passed} passed, ${all.failed} failed, ${all.skipped} skipped\n`;
}

/** Whether this is the end of a file's process, and not of a test in it. */
function isFile({ name, file, nesting }) {
  return nesting === 0 && file !== undefined && resolve(name) === file;
}

function of(files, path = '') {
  const known = files.get(path);
  if (known !== undefined) return known;
  const file = { name: relative(process.cwd(), path), ms: 0, passed: 0, failed: 0, skipped: 0 };
  files.set(path, file);
  return file;
}

function line({ name, ms, ...counts }, ok) {
  const told = Object.entries(counts).filter(([, count]) => count > 0).map(([what, count]) => `${count} ${what}`);
  return `${ok ? 'ok    ' : 'FAILED'} ${name}  ${told.join(', ')}  ${seconds(ms)}\n`;
}

function failure({ name, file, line: at, details: { error } }) {
  const where = file === undefined ? '' : ` (${relative(process.cwd(), file)}:${at})`;
  return `\nFAILED: ${name}${where}\n${inspect(error?.cause ?? error, { depth: 6 }).replace(/^/gm, '  ')}\n`;
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}
