/** What distribution.mjs and dispatch.mjs print. */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import process from 'node:process';

/** Prints rows of cells, the first of them the head, in columns. */
export function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    print(row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])).join('  '));
  }
  print('');
}

/** The median of some numbers, and in brackets the least and the greatest. */
export function spread(numbers, digits) {
  const [low, middle, high] = [Math.min(...numbers), median(numbers), Math.max(...numbers)];
  return `${middle.toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

export function writeReport(file, report) {
  if (file === undefined) return;
  const machine = `${cpus().length} x ${cpus()[0].model}`;
  writeFileSync(file, `${JSON.stringify({ date: new Date().toISOString(), machine, ...report }, null, 2)}\n`);
}

/** Numbers of the command line: whole, above 0. */
export function positive(values, names) {
  return Object.fromEntries(names.map((name) => {
    if (!/^[1-9]\d*$/.test(values[name])) fail(`--${name}: '${values[name]}' is not a positive whole number`);
    return [name, Number(values[name])];
  }));
}

/** A list of the command line, of what is known. */
export function listOf(value, known) {
  const names = value.split(',');
  for (const name of names) if (!known.includes(name)) fail(`'${name}' is none of ${known.join(', ')}`);
  return names;
}

export function fail(message) {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(2);
}

export function progress(line) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}

export function print(line) {
  process.stdout.write(`${line}\n`);
}
