/**
 * Payloads of the extension `wasm`: gzipped byte code without a name, identified only by its SHA-256.
 *
 * Source: CosmWasm/wasmd `x/wasm/keeper/snapshotter.go`, `x/wasm/ioutils/ioutil.go`.
 */
import { sha256Hex } from '../../../io/bytes/digest.ts';
import { gunzipMember, GunzipError } from '../../../io/bytes/gunzip.ts';
import { WHOLE_MAX_BYTES } from '../../../swing-store-export/swing-store-export.ts';
import { damaged } from '../layout.ts';
import type { ItemReader } from '../stream/items.ts';

/** Twenty times the limit of a governance proposal. */
export const MAX_CODE_BYTES = 64 * 1024 * 1024;
/** Unpacking an empty payload takes as long as hashing this many bytes. */
const LEAST_COUNTED_BYTES = 16 * 1024;

/** Byte code of a contract. */
export interface ByteCode {
  /** SHA-256 in hex. The chain and a node's files identify the byte code by it. */
  readonly checksum: string;
  readonly data: Uint8Array;
}

export interface ByteCodePayload extends ByteCode {
  readonly gzipped: Uint8Array;
}

/**
 * Reads the current payload.
 * @throws {VerificationError} `STATE_SYNC_DAMAGED` if it is not one gzip member, or too large
 */
export async function readCode(reader: ItemReader, size: number): Promise<ByteCodePayload> {
  if (size > WHOLE_MAX_BYTES) {
    damaged('a byte code is too large', {
      path: reader.where,
      expected: `at most ${WHOLE_MAX_BYTES} bytes`,
      found: `${size} bytes`,
    });
  }
  const gzipped = await reader.readWhole(size);
  try {
    const data = await gunzipMember(gzipped, MAX_CODE_BYTES);
    reader.noteExpanded(Math.max(data.length, LEAST_COUNTED_BYTES));
    return { checksum: sha256Hex(data), data, gzipped };
  } catch (cause) {
    if (!(cause instanceof GunzipError)) throw cause;
    return damaged('a payload of the extension wasm is not byte code in one gzip member', {
      path: reader.where,
      found: cause.message,
      cause,
    });
  }
}
