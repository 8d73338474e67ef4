/** The command line: every mistake is reported with what to write instead. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { contestants } from './contestants.mjs';
import { scenarios, usual } from './scenarios.mjs';
import { fail } from './terminal.mjs';
import { listOf, whole } from './values.mjs';

export const usage = `npm run bench -- [options]
  --scenario <names | all>   comma-separated, of ${wrapped(Object.keys(scenarios))};
                             default: ${wrapped(usual)}
  --only <names>             the contestants, of ${wrapped(contestants.map(({ name }) => name))}
  --rounds <n>               samples of each, default 5
  --seconds <n>              for each sample, default 2
  --connections <n>          of the scenario idle, default 10000
  --minutes <n>              of the scenario soak, 2 or more, default 10
  --node <path>              which Node the balancers run on, default this one
  --json <file>              where to write all figures
  --plot <file.svg>          where to draw the costs beside nginx's`;

export function readArguments() {
  const text = { type: 'string' };
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        scenario: text, only: text, rounds: text, seconds: text, connections: text, minutes: text, node: text,
        json: text, plot: text, help: { type: 'boolean' },
      },
    }));
  } catch (error) {
    fail(`${error.message}\n${usage}`);
  }
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    process.exit(0);
  }
  const { scenario, only, node = process.execPath, json, plot } = values;
  // Now rather than after all measurements.
  for (const [option, file] of Object.entries({ json, plot })) {
    const folder = file === undefined ? '.' : path.dirname(file);
    if (!existsSync(folder)) fail(`--${option}: there is no folder ${folder}`);
  }
  const all = Object.keys(scenarios);
  return {
    scenario: scenario === 'all' ? all : listOf('scenario', scenario ?? usual.join(','), [...all, 'all']),
    only: only === undefined ? undefined : listOf('only', only, contestants.map(({ name }) => name)),
    rounds: whole('rounds', values.rounds ?? '5', 1),
    seconds: whole('seconds', values.seconds ?? '2', 1),
    connections: whole('connections', values.connections ?? '10000', 1),
    minutes: whole('minutes', values.minutes ?? '10', 2),
    node,
    json,
    plot,
  };
}

/** Names in lines that fit below each other. */
function wrapped(names) {
  const lines = [];
  for (const name of names) {
    const last = lines.pop();
    const longer = last === undefined ? name : `${last}, ${name}`;
    if (longer.length <= 80) lines.push(longer);
    else lines.push(`${last},`, name);
  }
  return lines.join(`\n${' '.repeat(29)}`);
}
