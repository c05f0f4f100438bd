/**
 * The tar inside a chunk. There is exactly one tar for given entries, and a reader takes no other: so nobody can hide
 * in it what one program unpacks and another does not see, and equal entries make equal bytes, whatever library
 * wrote them.
 *
 * Format: POSIX.1-2001 (`ustar`, with a PAX `path` record where a name does not fit the header).
 */
import { damaged } from './layout.ts';

export interface TarEntry {
  readonly name: string;
  readonly data: Uint8Array;
}

const BLOCK_BYTES = 512;
const NAME_BYTES = 100;
const END_BYTES = 2 * BLOCK_BYTES;
const PLAIN_NAME = /^[\u0020-\u007e]{1,100}$/u;

/** Packs entries into a tar, in memory. */
export function packTar(entries: readonly TarEntry[]): Buffer {
  const headers = entries.map(({ name, data }) => encodeHeader(name, data.length));
  const tar = Buffer.alloc(
    tarBytes(entries.map(({ name, data }) => ({ name, size: data.length }))),
  );
  let at = 0;
  entries.forEach(({ data }, i) => {
    const header = headers[i] ?? Buffer.alloc(0);
    tar.set(header, at);
    tar.set(data, at + header.length);
    at += header.length + padded(data.length);
  });
  return tar;
}

/** Length of the tar of entries of these names and sizes. */
export function tarBytes(
  entries: readonly { readonly name: string; readonly size: number }[],
): number {
  return entries.reduce(
    (sum, { name, size }) => sum + encodeHeader(name, size).length + padded(size),
    END_BYTES,
  );
}

/**
 * The contents of the entries of a tar that must be the one of exactly these entries, as views.
 * @param tar hostile
 * @param path names the chunk in errors
 * @throws {VerificationError} `SNAPSHOT_DAMAGED` if it is another
 */
export function unpackTar(
  tar: Uint8Array,
  entries: readonly { readonly name: string; readonly size: number }[],
  path: string,
): Uint8Array[] {
  const bytes = Buffer.from(tar.buffer, tar.byteOffset, tar.length);
  const expected = tarBytes(entries);
  if (bytes.length !== expected) {
    damaged('a chunk holds a tar of another length', { path, expected, found: bytes.length });
  }
  let at = 0;
  const contents = entries.map(({ name, size }) => {
    const header = encodeHeader(name, size);
    if (!bytes.subarray(at, at + header.length).equals(header)) {
      damaged('a chunk holds another entry than the list of entries says', {
        path,
        expected: name,
        found: printable(bytes.subarray(at, at + NAME_BYTES)),
      });
    }
    const start = at + header.length;
    at = start + padded(size);
    refuseNonZero(bytes.subarray(start + size, at), path);
    return bytes.subarray(start, start + size);
  });
  refuseNonZero(bytes.subarray(at), path);
  return contents;
}

function refuseNonZero(bytes: Buffer, path: string): void {
  if (bytes.some((byte) => byte !== 0)) {
    damaged('a chunk holds something between or behind its entries', { path });
  }
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
}

/** What stands before the content of an entry: one block, or three and more with a PAX header. */
function encodeHeader(name: string, size: number): Buffer {
  if (PLAIN_NAME.test(name)) return encodeBlock(name, size, '0');
  const record = paxRecord('path', name);
  const pax = Buffer.alloc(padded(record.length));
  pax.set(record);
  // What a program without PAX would call it; those that the format asks for take the record's name.
  const short = name.replace(/[^\u0020-\u007e]/gu, '_').slice(0, NAME_BYTES);
  return Buffer.concat([
    encodeBlock('PaxHeader', record.length, 'x'),
    pax,
    encodeBlock(short, size, '0'),
  ]);
}

/** `<length> <key>=<value>\n`, where the length counts its own digits too. */
function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest;
  while (length !== rest + String(length).length) length = rest + String(length).length;
  return Buffer.from(`${String(length)} ${key}=${value}\n`);
}

function encodeBlock(name: string, size: number, type: '0' | 'x'): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, digits: number): void => {
    block.write(value.toString(8).padStart(digits, '0'), at, 'latin1');
  };
  block.write(name, 0, NAME_BYTES, 'latin1');
  octal(0o644, 100, 7); // mode
  octal(0, 108, 7); // uid
  octal(0, 116, 7); // gid
  octal(size, 124, 11);
  octal(0, 136, 11); // mtime
  block.write(' '.repeat(8), 148, 'latin1'); // the checksum counts its own field as spaces
  block.write(type, 156, 'latin1');
  block.write('ustar\0' + '00', 257, 'latin1');
  octal(0, 329, 7); // device numbers
  octal(0, 337, 7);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  );
  block[154] = 0;
  return block;
}

function printable(bytes: Buffer): string {
  return JSON.stringify(bytes.toString('latin1').replace(/\0[^]*$/u, ''));
}
