/**
 * The built binary, run again and again in one process: each message has the arguments and the folder of a run, and the
 * answer has what came of it. See runs.ts.
 */
import { Writable } from 'node:stream';
import { Output } from '../../dist/src/cli/output.js';
import { main } from '../../dist/src/cli/run.js';
import { Signals } from '../../dist/src/cli/signals.js';

const signals = new Signals(() => undefined);
const home = process.cwd();

process.on('message', async ({ args, cwd = home }) => {
  let [stdout, stderr] = ['', ''];
  const out = collector((text) => {
    stdout += text;
  });
  const log = collector((text) => {
    stderr += text;
  });
  process.chdir(cwd);
  const code = await main(args, { output: new Output(out, log), signals, started: () => undefined });
  process.send({ code, signal: null, stdout, stderr });
});

function collector(add) {
  return new Writable({
    decodeStrings: false,
    write(text, _encoding, done) {
      add(text);
      done();
    },
  });
}
