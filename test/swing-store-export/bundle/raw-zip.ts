/** Writes zips in which every field can be wrong. */
import { crc32 } from 'node:zlib';

/** One entry. The defaults are those of a correct zip of stored files. */
export interface RawEntry {
  readonly name: string | Uint8Array;
  readonly content: Uint8Array;
  readonly local?: RawHeader;
  readonly central?: RawHeader;
  /** In both headers. */
  readonly both?: RawHeader;
  readonly comment?: Uint8Array;
  readonly externalAttributes?: number;
  readonly diskNumber?: number;
  /** Overrides the start of the entry in the central directory. */
  readonly start?: number;
}

export interface RawHeader {
  readonly signature?: number;
  readonly name?: string | Uint8Array;
  readonly flags?: number;
  readonly method?: number;
  readonly date?: number;
  readonly crc32?: number;
  readonly compressedSize?: number;
  readonly size?: number;
  readonly extra?: Uint8Array;
}

export interface RawEnd {
  readonly disk?: number;
  readonly directoryDisk?: number;
  readonly recordsHere?: number;
  readonly records?: number;
  readonly directorySize?: number;
  readonly directoryOffset?: number;
  readonly commentLength?: number;
  readonly comment?: Uint8Array;
  /** Bytes before the first entry, not counted in the offsets. */
  readonly prefix?: Uint8Array;
}

export function rawZip(entries: readonly RawEntry[], end: RawEnd = {}): Uint8Array {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const local = { ...entry.both, ...entry.local };
    const central = { ...entry.both, ...entry.central };
    const localName = Buffer.from(local.name ?? entry.name);
    const centralName = Buffer.from(central.name ?? entry.name);
    const localBytes = Buffer.concat([
      u32(local.signature ?? 0x04034b50),
      headerFields(entry.content, local, localName),
      localName,
      local.extra ?? empty,
      entry.content,
    ]);
    const comment = entry.comment ?? empty;
    directory.push(
      Buffer.concat([
        u32(central.signature ?? 0x02014b50),
        Buffer.from([30, 3]),
        headerFields(entry.content, central, centralName),
        u16(comment.length),
        u16(entry.diskNumber ?? 0),
        u16(0),
        u32(entry.externalAttributes ?? 0),
        u32(entry.start ?? offset),
        centralName,
        central.extra ?? empty,
        comment,
      ]),
    );
    locals.push(localBytes);
    offset += localBytes.length;
  }
  const directoryBytes = Buffer.concat(directory);
  const comment = end.comment ?? empty;
  return Buffer.concat([
    end.prefix ?? empty,
    ...locals,
    directoryBytes,
    u32(0x06054b50),
    u16(end.disk ?? 0),
    u16(end.directoryDisk ?? 0),
    u16(end.recordsHere ?? entries.length),
    u16(end.records ?? entries.length),
    u32(end.directorySize ?? directoryBytes.length),
    u32(end.directoryOffset ?? offset),
    u16(end.commentLength ?? comment.length),
    comment,
  ]);
}

const empty = new Uint8Array(0);

/** The fields that both headers share, from the version needed to the length of the extra field. */
function headerFields(content: Uint8Array, header: RawHeader, name: Uint8Array): Buffer {
  return Buffer.concat([
    u16(10),
    u16(header.flags ?? 0),
    u16(header.method ?? 0),
    u32(header.date ?? 0),
    u32(header.crc32 ?? crc32(content)),
    u32(header.compressedSize ?? content.length),
    u32(header.size ?? content.length),
    u16(name.length),
    u16(header.extra?.length ?? 0),
  ]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
