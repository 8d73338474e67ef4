/** The bench's own programs, each a process with its own CPU, that print JSON. */
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from './processes.mjs';

/** The path of one of these programs. */
export function program(name) {
  return path.join(path.dirname(fileURLToPath(import.meta.url)), name);
}

/** Runs one to its end. Resolves with what it printed. */
export async function result(cpu, command) {
  const child = start(cpu, command, ['ignore', 'pipe', 'pipe']);
  let [printed, said] = ['', ''];
  child.stdout.on('data', (data) => { printed += data; });
  child.stderr.on('data', (data) => { said += data; });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command.slice(1).join(' ')} failed:\n${said}`);
  return JSON.parse(printed);
}
