/** The output of the bench: results on standard output, progress on a terminal's standard error. */
import process from 'node:process';

export function print(line = '') {
  progress('');
  process.stdout.write(`${line}\n`);
}

/** Shows what is going on, in one line that the next one replaces. */
export function progress(line) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}

/** Prints rows of cells in columns, under a title unless that is empty; the first row is their heads. */
export function printTable(title, rows) {
  if (title !== '') print(title);
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    print(row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])).join('  '));
  }
  print();
}

/** Ends the bench: it was called wrongly, or something that it needs is missing. */
export function fail(message) {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(2);
}
