/** Refuses to write chunks that readers would refuse. */
import { SwingSnapError } from '../../errors.ts';
import { MAX_CHUNK_ENTRIES, MAX_NAME_UNITS, maxChunkBytes, type FormatVersion } from '../layout.ts';
import {
  bytesOfEntries,
  moduleOf,
  type EntryDigest,
  type StateArtifact,
} from '../module-contract.ts';

/**
 * @param module gives the chunk
 * @param artifacts of the entries, each at the index of its entry
 * @throws {SwingSnapError} `MODULE_CHUNK`
 */
export function refuseUnreadableChunk(
  module: string,
  entries: readonly EntryDigest[],
  artifacts: readonly (StateArtifact | undefined)[],
  version: FormatVersion,
): void {
  const bytes = bytesOfEntries(entries);
  const maxBytes = maxChunkBytes(version);
  if (entries.length === 0 || entries.length > MAX_CHUNK_ENTRIES || bytes > maxBytes) {
    throw new SwingSnapError('MODULE_CHUNK', `module ${module} gives an invalid chunk`, {
      expected: `1 to ${MAX_CHUNK_ENTRIES} entries, at most ${maxBytes} bytes`,
      found: `${entries.length} entries, ${bytes} bytes`,
    });
  }
  const names = artifacts.flatMap((artifact) => artifact && [artifact.name, artifact.identity]);
  const foreign = entries.find(({ name }) => moduleOf(name) !== module || name === module)?.name;
  const long = [...entries.map(({ name }) => name), ...names].find(
    (name) => name !== undefined && name.length > MAX_NAME_UNITS,
  );
  const wrong = foreign ?? long;
  if (wrong === undefined) return;
  throw new SwingSnapError('MODULE_CHUNK', `module ${module} gives an entry with an invalid name`, {
    expected: `names below ${module}/, of at most ${MAX_NAME_UNITS} UTF-16 units`,
    found: wrong.slice(0, 200),
  });
}
