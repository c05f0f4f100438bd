/**
 * Byte code as a node keeps it outside its multistore: a directory of files, each named after the SHA-256 of its
 * content, in hex.
 *
 * Source: CosmWasm/wasmvm, `<home>/wasm/wasm/state/wasm`.
 */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { VerificationError } from '../../../errors.ts';
import { sha256Hex } from '../../../io/bytes/digest.ts';
import { MAX_CODE_BYTES } from './code-payload.ts';

/**
 * Reads the byte code with a checksum.
 * @throws {VerificationError} `MISSING_CODE` if the file does not exist; `CODE_MISMATCH` if its content differs
 */
export async function readCodeFile(dir: string, checksum: string): Promise<Buffer> {
  const path = join(dir, checksum);
  const file = await openFile(path);
  try {
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > MAX_CODE_BYTES)
      return refuse(path, 'not a file of byte code');
    const data = await file.readFile();
    const found = sha256Hex(data);
    return found === checksum ? data : refuse(path, found);
  } finally {
    await file.close();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    // Opening a pipe blocks until it has a writer.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw cause;
    throw new VerificationError('MISSING_CODE', 'a byte code of the chain is missing', {
      path,
      hint: 'set --wasm-dir to the directory of a node that has it: <home>/wasm/wasm/state/wasm',
      cause,
    });
  }
}

function refuse(path: string, found: string): never {
  throw new VerificationError(
    'CODE_MISMATCH',
    'a file is not the byte code that it is named after',
    {
      path,
      found,
      hint: 'get it from another node',
    },
  );
}
