/** Turns any error into text for people, JSON for programs, and an exit code. */

import { stripVTControlCharacters } from 'node:util';
import { CLIError } from '@oclif/core/errors';
import { EXIT_CODES, SwingSnapError, type ExitCode } from '../../errors.ts';
import { withShownPaths } from '../../io/files/descriptor-names.ts';
import { systemCode, systemTrouble } from '../../io/files/system-error.ts';
import type { ErrorReport } from '../../operation/lock/record.ts';
import { nearest } from '../text/nearest.ts';
import { cutFact, cutFacts, formatLine } from '../text/printable.ts';

/** The hint for an error without its own, by exit code. `help` is the command that shows the help. */
function fallbackHint(exitCode: ExitCode, help: string): string | undefined {
  switch (exitCode) {
    case EXIT_CODES.failed:
    case EXIT_CODES.usage:
    case EXIT_CODES.notFound:
      return help;
    case EXIT_CODES.verification:
      return 'do not use it: take another copy, or make a new one with: swingsnap retrieve';
    case EXIT_CODES.storage:
      return 'check free space and permissions, then run the command again';
    case EXIT_CODES.busy:
    case EXIT_CODES.timeout:
      return 'run the command again later';
    default:
      return undefined;
  }
}

/**
 * Reports any thrown value.
 * @param command what the user typed, for the hint to its help: `swingsnap export`
 * @param names commands or flags that the user may have meant
 */
export function reportError(
  error: unknown,
  command: string,
  names: readonly string[] = [],
): ErrorReport {
  if (error instanceof SwingSnapError) {
    const { code, exitCode } = error;
    const message = shown(withoutParser(error.message));
    const path = error.path === undefined ? undefined : shownFact(error.path);
    const [expected, found] = shownPair(error.expected, error.found);
    const hint = error.hint ?? fallbackHint(exitCode, `${command} --help`);
    return { code, message, exitCode, path, expected, found, hint };
  }
  if (error instanceof CLIError && error.oclif.exit === EXIT_CODES.usage) {
    const message = parserMessage(error.message);
    const [, word = ''] = /^(?:command|Nonexistent flag:) (\S+)/u.exec(message) ?? [];
    const meant = nearest(word, names);
    const help = `${command} --help`;
    const hint = meant === undefined ? help : `did you mean ${meant}? otherwise see: ${help}`;
    return { code: 'USAGE', message, exitCode: EXIT_CODES.usage, hint };
  }
  const message = shown(error instanceof Error ? error.message : String(error));
  const trouble = systemTrouble(error);
  if (trouble !== undefined) return { message, ...trouble };
  return {
    code: systemCode(error) ?? 'UNEXPECTED',
    message: message === '' ? 'failed without a message' : message,
    exitCode: EXIT_CODES.failed,
    hint: 'run it again with DEBUG=swingsnap in the environment to see where it fails',
  };
}

/** The exit code of a command that ends with this error. */
export function exitCodeOf(error: unknown): ExitCode {
  return reportError(error, '').exitCode;
}

function shown(message: string): string {
  return formatLine(shownFact(message));
}

/** A fact with real paths instead of descriptor paths, cut to a useful length. */
function shownFact(fact: string): string;
function shownFact(fact: string | number | undefined): string | number | undefined;
function shownFact(fact: string | number | undefined): string | number | undefined {
  return typeof fact === 'string' ? cutFact(withShownPaths(fact)) : fact;
}

/** What was expected and what was found, cut so that both still differ. */
function shownPair(
  expected: string | number | undefined,
  found: string | number | undefined,
): readonly (string | number | undefined)[] {
  if (typeof expected !== 'string' || typeof found !== 'string')
    return [expected, found].map(shownFact);
  return cutFacts(withShownPaths(expected), withShownPaths(found));
}

/** The lines for stderr: the message, the facts that are set, the hint. */
export function errorLines(report: ErrorReport): string[] {
  const facts = (['path', 'expected', 'found'] as const).flatMap((name) => {
    const value = report[name];
    return value === undefined ? [] : [`  ${`${name}:`.padEnd(9)} ${formatLine(String(value))}`];
  });
  return [
    `swingsnap: ${report.message}`,
    ...facts,
    ...(report.hint === undefined ? [] : [`hint: ${formatLine(report.hint)}`]),
  ];
}

/** The stacks of the error and its causes, if `DEBUG` is set. */
export function debugLines(error: unknown, env: NodeJS.ProcessEnv): string[] {
  if ((env['DEBUG'] ?? '') === '') return [];
  const lines: string[] = [];
  for (let at = error; at instanceof Error && lines.length < 10; at = at.cause) {
    const stack = at.stack ?? at.message;
    lines.push(stack.split('\n').map(formatLine).join('\n'));
  }
  return lines;
}

/** oclif adds to the message of what a flag's `parse` throws. Our errors tell the path, and where the help is. */
function withoutParser(message: string): string {
  return message.replace(/^Parsing --\S+\s+(?<own>.*)\nSee more help with --help$/su, '$<own>');
}

/**
 * Flattens oclif's messages. They have several lines, colours, descriptions of missing arguments in a second column,
 * and a pointer to the help, which our hint replaces.
 */
function parserMessage(message: string): string {
  return formatLine(
    stripVTControlCharacters(message)
      .replace(/\nSee more help with --help/g, '')
      .replace(/^The following errors? occurred:/, '')
      // The note on flags that take several values: ours take one each time.
      .replace(/\n\nNote: --[^]*$/, '')
      .replace(/^ {4,}.*\n?/gm, '')
      .replace(
        /^Missing 1 required arg:\n(\w+).*$/gm,
        (_, name: string) => `${name.toUpperCase()} is missing`,
      )
      .replace(/^(\w+) {2,}.*$/gm, '$1')
      .replace(/^Parsing (--\S+)\s+/, '$1: ')
      .trim(),
  );
}
