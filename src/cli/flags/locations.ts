/** Resolves flags and environment to absolute paths. */

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { UsageError } from '../../errors.ts';
import { refuseSilent } from '../../io/disks/answering.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import { NO_HOME } from '../without-home.ts';
import { givenPath } from './path.ts';

/** The flags as given, without the environment. */
export interface StateDirFlags {
  readonly 'state-dir'?: string | undefined;
  readonly home?: string | undefined;
}

/**
 * The state dir: `--state-dir`, else `data/agoric` in `--home`, `AGORIC_HOME` or `~/.agoric`.
 * @throws {UsageError} `NO_HOME` if none is named and the user has no home
 */
export function locateStateDir(flags: StateDirFlags, env: NodeJS.ProcessEnv = process.env): string {
  if (flags['state-dir'] !== undefined) return resolve(flags['state-dir']);
  return join(locateHome(flags, env) ?? '', 'data', 'agoric');
}

/**
 * The home of the node: `--home`, else `AGORIC_HOME`, else `~/.agoric`. Undefined if `--state-dir` is given.
 * @throws {UsageError} `NO_HOME` if none is named and the user has no home
 */
export function locateHome(
  flags: StateDirFlags,
  env: NodeJS.ProcessEnv = process.env,
): string | undefined {
  if (flags['state-dir'] !== undefined) return undefined;
  return resolve(flags.home ?? variable(env, 'AGORIC_HOME') ?? usualHome());
}

function usualHome(): string {
  const ofUser = homedir();
  if (ofUser !== NO_HOME) return join(ofUser, '.agoric');
  throw new UsageError('NO_HOME', 'no node is named, and the user has no home to look for it', {
    expected: "--home, --state-dir or AGORIC_HOME, or the user's home in HOME or in passwd",
    found: `user ${process.geteuid?.() ?? 'unknown'} without a home`,
    hint: "name the node's home with --home <dir>, or the directory of its swingstore.sqlite with --state-dir <dir>",
  });
}

/**
 * Where `restore` writes: `--state-dir`, else `data/agoric` in `--home` or `AGORIC_HOME`.
 * @param source what is restored, for the hint
 * @throws {UsageError} if none is named; nothing is ever written to `~/.agoric` by default
 */
export function chooseDestination(
  flags: StateDirFlags,
  source: string,
  env: NodeJS.ProcessEnv = process.env,
): { readonly stateDir: string; readonly home: string | undefined } {
  const named = flags['state-dir'] ?? flags.home ?? variable(env, 'AGORIC_HOME');
  if (named !== undefined) {
    return { stateDir: locateStateDir(flags, env), home: locateHome(flags, env) };
  }
  throw new UsageError('USAGE', 'no destination is given', {
    hint: `name the node's home: swingsnap restore ${shellQuote(source)} --home ~/.agoric, or the directory for swingstore.sqlite with --state-dir`,
  });
}

/** The state dir, only if a flag names one. For commands where it is optional: the environment alone does not count. */
export function namedStateDir(flags: StateDirFlags): string | undefined {
  const named = flags['state-dir'] ?? flags.home;
  return named === undefined ? undefined : locateStateDir(flags);
}

/** The home of the node, only if a flag names it, and not the state dir. */
export function namedHome(flags: StateDirFlags): string | undefined {
  if (flags['state-dir'] !== undefined || flags.home === undefined) return undefined;
  return resolve(flags.home);
}

/** What `retrieve` reads. */
export type Source =
  | { readonly kind: 'export-directory'; readonly path: string }
  | { readonly kind: 'swing-store'; readonly stateDir: string };

/**
 * The named source: a flag first, then `SWINGSNAP_EXPORT_DIR`.
 * @throws UsageError if none is named; the node's own store is never the default
 */
export function chooseSource(flags: SourceFlags, env: NodeJS.ProcessEnv = process.env): Source {
  const source = namedSource(flags, env);
  if (source !== undefined) return source;
  throw new UsageError('USAGE', 'no source is given', {
    hint: 'give --export-dir E, or --state-dir S to read the store itself',
  });
}

type SourceFlags = StateDirFlags & { readonly 'export-dir'?: string | undefined };

/** The named source, if any: a flag first, then `SWINGSNAP_EXPORT_DIR`. */
export function namedSource(
  flags: SourceFlags,
  env: NodeJS.ProcessEnv = process.env,
): Source | undefined {
  const stateDir = namedStateDir(flags);
  if (flags['export-dir'] === undefined && stateDir !== undefined) {
    return { kind: 'swing-store', stateDir };
  }
  const path = flags['export-dir'] ?? variable(env, 'SWINGSNAP_EXPORT_DIR');
  return path === undefined ? undefined : { kind: 'export-directory', path: resolve(path) };
}

/**
 * The snapshot dir: the argument, else `SWINGSNAP_SNAPSHOT_DIR`.
 * @throws {UsageError} if none is named; as `refuseSilent`
 */
export async function choosePlace(
  named: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  if (named !== undefined) return resolve(named);
  const path = variable(env, 'SWINGSNAP_SNAPSHOT_DIR');
  if (path === undefined) {
    throw new UsageError('USAGE', 'no snapshot dir is given', {
      hint: 'name it as an argument, or in SWINGSNAP_SNAPSHOT_DIR',
    });
  }
  await refuseSilent(path);
  return resolve(path);
}

/** A path in the environment. An empty variable counts as unset, as in a crontab. */
function variable(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const value = env[name];
  return value === undefined || value === '' ? undefined : givenPath(value, name);
}
