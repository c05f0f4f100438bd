/**
 * Where CosmWasm keeps the byte code of contracts, which no store of the chain holds: one file for each, named after
 * the SHA-256 of its bytes in lower-case hex (wasmvm, `state/wasm` of its cache).
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { VerificationError } from '../../errors.ts';
import { statIfThere } from '../../io/files/stat-if-there.ts';

export const WASM = 'wasm';

/** Paths below a node's home: today's, that of chains which keep it beside their data, and an older one. */
const PLACES = [
  ['wasm', 'wasm', 'state', 'wasm'],
  ['data', 'wasm', 'state', 'wasm'],
  ['wasm', 'state', 'wasm'],
] as const;

/** The directory of byte code in a node's home; undefined if it has none. */
export function findWasmDir(home: string): string | undefined {
  return PLACES.map((names) => join(home, ...names)).find(
    (dir) => statIfThere(dir)?.isDirectory() === true,
  );
}

/** The directory where a node would make it. */
export function usualWasmDir(home: string): string {
  return join(home, ...PLACES[0]);
}

/** Whether `dir` holds any byte code. */
export function holdsByteCode(dir: string): boolean {
  return readdirSync(dir).some(isChecksum);
}

export function isChecksum(name: string): boolean {
  return /^[0-9a-f]{64}$/u.test(name);
}

export function wasmEntryName(module: string, checksum: string): string {
  return `${module}/code/${checksum}`;
}

/** The identity of a byte code, which is its checksum. */
export function wasmIdentity(checksum: string): string {
  return `wasm:${checksum}`;
}

/** @throws {VerificationError} `WASM_CHECKSUM` if `found` is not the checksum in the name of a byte code */
export function refuseOtherChecksum(path: string, checksum: string, found: string): void {
  if (found === checksum) return;
  throw new VerificationError('WASM_CHECKSUM', 'a byte code is not what its name says', {
    path,
    expected: checksum,
    found,
    hint: 'get this file from another node: every node of the chain has the same',
  });
}
