/**
 * Runs npm scripts side by side: each argument is a list of scripts that run one after the other.
 *
 *   node test/side-by-side.mjs "lint types" "build test:unit"
 *
 * The last list prints as it goes; what the others print shows when each script ends. Exits with 1 if a script failed;
 * the rest of its list does not run.
 */
import { spawn } from 'node:child_process';

const lists = process.argv.slice(2).map((scripts) => scripts.split(' '));
const failed = [];
await Promise.all(lists.map(async (scripts, index) => {
  const isLast = index === lists.length - 1;
  for (const script of scripts) {
    const startedAt = performance.now();
    const { code, output } = await run(script, isLast ? 'inherit' : 'pipe');
    const ended = `${script} ${code === 0 ? 'passed' : 'FAILED'} after ${Math.round((performance.now() - startedAt) / 1000)} s`;
    console.log(code === 0 ? `${output}> ${ended}` : `\n${output}> ${ended}\n`);
    if (code === 0) continue;
    failed.push(script);
    return;
  }
}));
if (failed.length > 0) {
  console.log(`FAILED: ${failed.join(', ')}`);
  process.exitCode = 1;
}

function run(script, stdout) {
  const child = spawn('npm', ['run', '--silent', script], { stdio: ['ignore', stdout, stdout] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  return new Promise((resolve) => {
    child.on('close', (code) => {
      resolve({ code, output });
    });
  });
}
