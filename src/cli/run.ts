/**
 * One run of the binary, from its arguments to its exit code.
 */
import cluster from 'node:cluster';
import { createRequire } from 'node:module';
import { isForeignWorker, isLaunchedWorker } from '../cluster/process-role.ts';
import { messageOf } from '../guard.ts';
import { type Arguments, readArguments, USAGE } from './arguments.ts';
import type { Beginning } from './beginning.ts';
import { configure } from './config.ts';
import { takePassedSockets } from './passed-sockets.ts';
import { PidFile } from './pid-file.ts';

const FAILED = 1;
const WRONG_USAGE = 2;

/** Runs until a signal stops it. Resolves with the exit code. */
export async function main(argv: readonly string[], beginning: Beginning): Promise<number> {
  if (argv[0] === 'simulate' && !isLaunchedWorker) {
    return (await import('./simulate/command.ts')).simulateCommand(argv.slice(1), beginning);
  }
  const problems: string[] = [];
  const args = readArguments(argv, problems);
  // What the file says is not known yet.
  if (args.logFormat === 'json') beginning.output.format = 'json';
  if (args.help || args.version) {
    beginning.output.say(args.help ? USAGE.trimEnd() : version());
    return 0;
  }
  const code = isLaunchedWorker
    ? await (await import('./workers.ts')).work(args, beginning)
    : await run({ ...args, passed: takePassedSockets(process.env, process.pid) }, problems, beginning);
  leaveCluster(code);
  return code;
}

/** Serves in this process or by workers, as configured. */
async function run(args: Arguments, problems: string[], beginning: Beginning): Promise<number> {
  const { output, output: { log } } = beginning;
  beginning.signals.endUntilReady(() => process.exit(0));
  const configuration = await configure(args, problems);
  output.format = configuration.logFormat;
  if (problems.length > 0) {
    log(`${problems.join('\n')}\nSee equipoise --help.`, { event: 'configuration-invalid', level: 'error' });
    return WRONG_USAGE;
  }
  for (const warning of configuration.warnings) log(warning, { event: 'configuration-warning', level: 'warn' });
  if (args.check) {
    const { preview } = await import('./preview.ts');
    await beginning.output.print(preview(configuration, args));
    return 0;
  }
  const pidFile = new PidFile();
  process.once('exit', () => {
    try {
      pidFile.remove();
    } catch (error) {
      log(messageOf(error), { event: 'pid-file', level: 'error' });
    }
  });
  try {
    if (configuration.workers !== undefined && !isForeignWorker) {
      return await (await import('./workers.ts')).supervise(args, configuration, pidFile, beginning);
    }
    if (configuration.workers !== undefined) {
      log('workers: ignored, since this process is already a worker of another cluster',
        { event: 'configuration-warning', level: 'warn' });
    }
    const { serveAlone } = await import('./alone.ts');
    await serveAlone(args, configuration, pidFile, beginning);
    return 0;
  } catch (error) {
    log(messageOf(error), { event: 'failed', level: 'error' });
    return FAILED;
  }
}

/** The channel to a primary, ours or another, would keep this process alive. */
function leaveCluster(code: number): void {
  if (!cluster.isWorker) return;
  if (code !== 0) process.exit(code);
  if (process.connected) cluster.worker?.disconnect();
}

function version(): string {
  const { version: text } = createRequire(import.meta.url)('equipoise/package.json') as { readonly version: string };
  return text;
}
