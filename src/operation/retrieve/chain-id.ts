/** The chain of a node, as its home tells it. */
import { closeSync, openSync, readSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { statIfThere } from '../../io/files/stat-if-there.ts';

/** A genesis file may have gigabytes of state. Its chain id comes before that, as every node writes it. */
const MAX_BYTES = 64 * 1024;
/** In `genesis.json` before any nested object, which may have a `chain_id` of its own. */
const IN_GENESIS = /^\s*\{[^{}]*"chain_id"\s*:\s*"([\w.-]{1,50})"/u;
const IN_CLIENT_CONFIG = /^\s*chain-id\s*=\s*"([\w.-]{1,50})"/mu;

/**
 * The chain id in the home that a state dir `<home>/data/agoric` is in: that of the genesis file, else of the client's
 * configuration.
 * @returns undefined if the state dir is elsewhere, or neither file tells
 */
export function chainIdOf(stateDir: string): string | undefined {
  const data = dirname(resolve(stateDir));
  if (basename(data) !== 'data' || basename(resolve(stateDir)) !== 'agoric') return undefined;
  const config = join(dirname(data), 'config');
  return (
    IN_GENESIS.exec(beginningOf(join(config, 'genesis.json')))?.[1] ??
    IN_CLIENT_CONFIG.exec(beginningOf(join(config, 'client.toml')))?.[1]
  );
}

/** Empty if it cannot be read: then the chain is not known. */
function beginningOf(path: string): string {
  try {
    // Opening a pipe would block.
    if (statIfThere(path)?.isFile() !== true) return '';
    const file = openSync(path, 'r');
    try {
      const bytes = Buffer.alloc(MAX_BYTES);
      return bytes.toString('utf8', 0, readSync(file, bytes));
    } finally {
      closeSync(file);
    }
  } catch {
    return '';
  }
}
