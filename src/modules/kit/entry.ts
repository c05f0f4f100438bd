/** Entries from the receiver's side. */
import { VerificationError } from '../../errors.ts';
import { sha256Hex } from '../../io/bytes/digest.ts';
import type { StateChunk, StateEntry } from '../../snapshot/module-contract.ts';

/** The bytes of an entry. */
export async function bytesOf({ data }: StateEntry): Promise<Uint8Array> {
  return data instanceof Function ? data() : data;
}

/** An entry's full name. */
export function nameOf({ name, data, sha256 }: StateEntry): string {
  if (typeof name === 'string') return name;
  const hash = sha256 ?? (data instanceof Function ? '' : sha256Hex(data));
  return name.before + hash + name.after;
}

/**
 * For `writeChunk`: checks what can be checked before the chunk's turn.
 * @throws {VerificationError} `WRONG_CHUNK`
 */
export function refuseWrongChunk(module: string, { entries }: StateChunk): void {
  for (const entry of entries) {
    const { size, sha256, data } = entry;
    const name = nameOf(entry);
    if (!name.startsWith(`${module}/`)) {
      wrong('an entry belongs to another module', name, `${module}/…`, name);
    }
    if (data instanceof Function) continue;
    if (data.length !== size) wrong('an entry has the wrong size', name, size, data.length);
    const found = sha256 === undefined ? undefined : sha256Hex(data);
    if (found !== sha256) wrong('an entry has the wrong hash', name, sha256, found);
  }
}

function wrong(
  message: string,
  path: string,
  expected: string | number | undefined,
  found: string | number | undefined,
): never {
  throw new VerificationError('WRONG_CHUNK', message, { path, expected, found });
}
