/** The help: commands in the order of use, flags in groups, exit codes once. Loaded only to show it. */
import type { Command } from '@oclif/core/command';
import { CommandHelp, Help } from '@oclif/core/help';
import { COMMANDS } from './command-names.ts';
import { exitCodeRows } from './exit/exit-codes.ts';
import { FLAG_GROUPS } from './flags/flags.ts';

const VALUES = [
  'SIZE    bytes, or with a unit: 16MiB, 10GB',
  'TIME    seconds, or with a unit: 500ms, 90s, 30m, 2h, 30d',
  'HASH    64 hex digits',
  'PLACE   a snapshot dir: a directory of snapshots, one directory per height',
  'SOURCE  a snapshot, a directory of several, an export directory, a state-sync snapshot',
];

/** Sorts by a list; what is not in it comes last. */
function byList<Item>(
  items: readonly Item[],
  list: readonly string[],
  nameOf: (item: Item) => string,
) {
  const rank = (item: Item): number => {
    const at = list.indexOf(nameOf(item));
    return at === -1 ? list.length : at;
  };
  return [...items].sort((a, b) => rank(a) - rank(b));
}

class GroupedCommandHelp extends CommandHelp {
  protected override groupFlags(
    flags: Parameters<CommandHelp['groupFlags']>[0],
  ): ReturnType<CommandHelp['groupFlags']> {
    const { flagGroups, mainFlags } = super.groupFlags(flags);
    const sorted = byList(Object.entries(flagGroups), FLAG_GROUPS, ([name]) => name);
    return { flagGroups: Object.fromEntries(sorted), mainFlags };
  }
}

export class SwingsnapHelp extends Help {
  protected override CommandHelpClass = GroupedCommandHelp;

  /** The root help ends with what applies to all commands. */
  protected override formatCommands(commands: Command.Loadable[]): string {
    return [
      super.formatCommands(byList(commands, COMMANDS, ({ id }) => id)),
      this.section('VALUES', VALUES.join('\n')),
      this.section('EXIT CODES', exitCodeRows().join('\n')),
    ].join('\n\n');
  }
}
