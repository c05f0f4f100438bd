/**
 * Lets users live without a home and without an entry in passwd, as in many containers. oclif and what it loads ask
 * the system for both, and throw where it has none; so this is imported before them.
 */
import { homedir, userInfo } from 'node:os';

/**
 * The home of a user who has none, as Debian names it. No other user can make it. A directory that others can write to
 * would not do: oclif loads the plugins that it finds in a home.
 */
export const NO_HOME = '/nonexistent';

// An empty variable counts as unset, as in a crontab.
if (process.env['HOME'] === '') delete process.env['HOME'];
if (systemTells(homedir) === '') process.env['HOME'] = NO_HOME;
if (process.env['SHELL'] === undefined && systemTells(userInfo) === '') {
  process.env['SHELL'] = '/bin/sh';
}

/** @returns an empty text if the system does not know it */
function systemTells<Fact>(ask: () => Fact): Fact | '' {
  try {
    return ask();
  } catch {
    return '';
  }
}
