/** Knows files by their first bytes. */
import { isUtf8 } from 'node:buffer';
import { constants, gunzipSync } from 'node:zlib';

/** Enough for the first entry of a tar, gzipped or not. */
export const HEAD_BYTES = 16 * 1024;
const TAR_BLOCK_BYTES = 512;
const TAR_SUM_AT = 148;

const MAGIC: readonly (readonly [kind: string, bytes: Buffer])[] = [
  ['gzip', Buffer.of(0x1f, 0x8b, 8)],
  ['zstd', Buffer.of(0x28, 0xb5, 0x2f, 0xfd)],
  ['xz', Buffer.from('fd377a585a00', 'hex')],
  ['bzip2', Buffer.from('BZh')],
  ['zip', Buffer.of(0x50, 0x4b, 3, 4)],
  ['SQLite', Buffer.from('SQLite format 3\0')],
];

/** What a file holds: `empty`, `gzip`, `zstd`, `xz`, `bzip2`, `zip`, `SQLite`, `tar`, `text`; undefined for other bytes. */
export function kindOf(head: Buffer): string | undefined {
  if (head.length === 0) return 'empty';
  const [kind] = MAGIC.find(([, magic]) => head.subarray(0, magic.length).equals(magic)) ?? [];
  if (kind !== undefined) return kind;
  if (firstTarEntry(head) !== undefined) return 'tar';
  // The head may end in the middle of a character.
  const isText = [0, 1, 2, 3].some((cut) =>
    isUtf8(head.subarray(0, Math.max(1, head.length - cut))),
  );
  return isText && !head.includes(0) ? 'text' : undefined;
}

/**
 * Unpacks the beginning of a gzip file, as far as `head` has it.
 * @returns the unpacked bytes, and whether the gzip stream ends within `head`
 * @throws if the bytes are damaged
 */
export function gunzipHead(head: Buffer): { readonly bytes: Buffer; readonly isAll: boolean } {
  // Damage behind the first bytes is found by the reader of all.
  const first = gunzipPart(head.subarray(0, 1024));
  if (head.length <= 1024 || first.length >= 2 * TAR_BLOCK_BYTES) {
    return { bytes: first, isAll: isWholeGzip(head) };
  }
  return { bytes: gunzipPart(head), isAll: isWholeGzip(head) };
}

function gunzipPart(bytes: Buffer): Buffer {
  return gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH });
}

function isWholeGzip(head: Buffer): boolean {
  try {
    gunzipSync(head);
    return true;
  } catch {
    return false;
  }
}

/** The first entry of a tar. */
export interface TarEntry {
  readonly name: string;
  /** Bytes of its content. */
  readonly size: number;
  /** Its content, as far as the head has it. */
  readonly content: Buffer;
}

/** @returns undefined if `head` does not begin with the header of a tar entry */
export function firstTarEntry(head: Buffer): TarEntry | undefined {
  if (head.length < TAR_BLOCK_BYTES) return undefined;
  const header = head.subarray(0, TAR_BLOCK_BYTES);
  const octal = (at: number, length: number): number =>
    Number.parseInt(header.toString('latin1', at, at + length).replace(/[\0 ]+$/u, ''), 8);
  // The sum counts its own eight bytes as blanks.
  const sum = header.reduce(
    (total, byte, at) => total + (at >= TAR_SUM_AT && at < TAR_SUM_AT + 8 ? 32 : byte),
    0,
  );
  if (octal(TAR_SUM_AT, 8) !== sum) return undefined;
  const end = header.indexOf(0);
  const size = octal(124, 12);
  return {
    name: header.toString('utf8', 0, Math.min(100, end === -1 ? 100 : end)),
    size: Number.isSafeInteger(size) ? size : 0,
    content: head.subarray(TAR_BLOCK_BYTES, TAR_BLOCK_BYTES + size),
  };
}
