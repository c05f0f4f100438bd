/**
 * What a metrics file said before this run. Another program, or another user, may have written it: only what this
 * program writes is read, and only values that can be true are kept.
 */

/** The values of one command, by the name of their metric. */
export type Values = Map<string, number>;

/** One sample as this program writes it. The label `name` is not read: it follows from the name of the file. */
const SAMPLE =
  /^(?<metric>swingsnap_[a-z_]{1,80})\{command="(?<command>[a-z][a-z-]{0,39})",name="(?:[^"\\]|\\.)*"\} (?<value>\S{1,40})$/u;
const OURS = /^(?:# (?:HELP|TYPE) )?swingsnap_/u;

/** A clock may be set back a little, but what lies further ahead has not happened. */
const SLACK_SECONDS = 3600;

/**
 * Reads a metrics file.
 * @param text all of the file
 * @param now Unix time in seconds
 * @returns the values by command; undefined if another program wrote the file
 */
export function readEarlier(text: string, now: number): Map<string, Values> | undefined {
  const commands = new Map<string, Values>();
  for (const line of text.split('\n')) {
    if (line !== '' && !OURS.test(line)) return undefined;
    const { metric, command, value } = SAMPLE.exec(line)?.groups ?? {};
    if (metric === undefined || command === undefined || value === undefined) continue;
    const values = commands.get(command) ?? new Map<string, number>();
    commands.set(command, values);
    const number = Number(value);
    if (isPossible(metric, number, now)) values.set(metric, number);
  }
  return commands;
}

/** A success in the future would keep a monitor quiet for as long. */
function isPossible(metric: string, value: number, now: number): boolean {
  const latest = metric.endsWith('_timestamp_seconds') ? now + SLACK_SECONDS : Infinity;
  return Number.isFinite(value) && value >= 0 && value <= latest;
}
