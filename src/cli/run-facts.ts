/** What every JSON object says about the run that printed it. */
import { programFacts } from '../io/program.ts';

export interface RunFacts {
  /** When the command ended, in UTC (ISO 8601). */
  readonly at: string;
  /** Of swingsnap. */
  readonly version: string;
  /** Since the process started. */
  readonly seconds: number;
}

export function runFacts(): RunFacts {
  const { version } = programFacts();
  const seconds = Math.round(process.uptime() * 1000) / 1000;
  return { at: new Date().toISOString(), version, seconds };
}
