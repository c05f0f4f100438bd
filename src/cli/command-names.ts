/** The commands, in the order of use. */
export const COMMANDS = [
  ...['export', 'retrieve', 'status', 'discard', 'restore', 'verify'],
  ...['list', 'show', 'prune', 'remove', 'copy'],
] as const;
