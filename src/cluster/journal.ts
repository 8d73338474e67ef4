/**
 * Where a launch reports: lines of the log, and `onEvent`. Neither can end the launch, whatever the program's functions
 * do; a fault of theirs goes to standard error.
 */
import { faultText, guarded, type OnFault } from '../guard.ts';
import { type LaunchEvent, lineOf } from './events.ts';
import { LogStream } from './log-stream.ts';
import type { LaunchSettings } from './options.ts';

export class Journal {
  readonly #settings: Pick<LaunchSettings, 'log' | 'onEvent'>;
  readonly #standardError = new LogStream(process.stderr);
  readonly #logFault = this.#faultIn('log');
  readonly #eventFault = this.#faultIn('onEvent');

  constructor(settings: Pick<LaunchSettings, 'log' | 'onEvent'>) {
    this.#settings = settings;
  }

  /** Writes the event's line, if it has one, and calls `onEvent`. */
  tell(event: LaunchEvent): void {
    const line = lineOf(event);
    if (line !== undefined) this.log(line, event);
    guarded(() => this.#settings.onEvent(event), this.#eventFault);
  }

  log(line: string, event?: LaunchEvent): void {
    guarded(() => (this.#settings.log ?? this.#toStandardError)(line, event), this.#logFault);
  }

  readonly #toStandardError = (line: string): void => {
    this.#standardError.write(`equipoise: ${line}`);
  };

  #faultIn(name: string): OnFault {
    return (what, cause) => {
      this.#toStandardError(faultText(`${name} ${what}`, cause));
    };
  }
}
