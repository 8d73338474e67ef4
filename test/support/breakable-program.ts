/**
 * The program of `forkBreakable`: a server with a balancer that carries out the calls it is sent, and ends by itself.
 */
import { type Call, startBreakable } from './breakable.ts';

const [, , upstream = ''] = process.argv;
const breakable = await startBreakable(upstream);
process.on('message', (message) => {
  void answer(message as Call);
});
process.send?.(JSON.stringify(breakable.ports));

async function answer(call: Call): Promise<void> {
  let fault = '';
  try {
    if (call[0] === 'break') await breakable.break(call[1], call[2]);
    else await breakable[call[0]]();
  } catch (cause) {
    fault = String(cause);
  }
  process.send?.(fault);
  if (call[0] === 'close') process.disconnect();
}
