/** Frames and tar headers that honest libraries do not write. */

const BLOCK = 128 * 1024;

export interface FrameOptions {
  /** Of the window descriptor; default 22. */
  readonly windowLog?: number;
  /** The content size in the header; undefined for none. */
  readonly contentSize?: bigint | undefined;
}

/**
 * A zstd frame of raw blocks, or for a number of run-length blocks of so many zeros (RFC 8878, 3.1.1).
 * With a content size it has no window, as RFC's single segment.
 */
export function rawFrame(content: Uint8Array | number, options: FrameOptions): Buffer {
  const { windowLog = 22, contentSize } = options;
  const header = Buffer.alloc(contentSize === undefined ? 6 : 13);
  header.writeUInt32LE(0xfd2fb528);
  if (contentSize === undefined) {
    header[5] = (windowLog - 10) << 3;
  } else {
    header[4] = 0xe0;
    header.writeBigUInt64LE(contentSize, 5);
  }
  const length = typeof content === 'number' ? content : content.length;
  const blockBytes = contentSize === undefined ? BLOCK : Math.min(BLOCK, Number(contentSize));
  const pieces: Buffer[] = [header];
  for (let at = 0; at < length; at += blockBytes) {
    const size = Math.min(blockBytes, length - at);
    const last = at + size === length ? 1 : 0;
    const isRun = typeof content === 'number';
    const block = Buffer.alloc(3);
    block.writeUIntLE((size << 3) | ((isRun ? 1 : 0) << 1) | last, 0, 3);
    pieces.push(block, isRun ? Buffer.alloc(1) : Buffer.from(content.subarray(at, at + size)));
  }
  return Buffer.concat(pieces);
}

/** A tar header block with the right checksum, valid except for the fields in the options. */
export function tarHeader(
  name: string,
  size: number,
  { type = '0', link = '', mode = 0o644 }: { type?: string; link?: string; mode?: number },
): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, at: number, digits: number): void => {
    block.write(`${value.toString(8).padStart(digits, '0')} `, at, 'latin1');
  };
  block.write(name, 0, 100, 'latin1');
  octal(mode, 100, 6);
  octal(0, 108, 6);
  octal(0, 116, 6);
  octal(size, 124, 11);
  octal(0, 136, 11);
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(link, 157, 100, 'latin1');
  block.write('ustar\u000000', 257, 'latin1');
  octal(0, 329, 6);
  octal(0, 337, 6);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    6,
  );
  block[155] = 0;
  return block;
}

/** A PAX header with one path, which precedes the header of an entry. */
export function paxHeader(path: string): Buffer {
  const rest = Buffer.byteLength(` path=${path}\n`);
  const length = rest + String(rest + 2).length;
  const blocks = Buffer.alloc(512 + Math.ceil(length / 512) * 512);
  tarHeader('PaxHeader', length, { type: 'x' }).copy(blocks);
  blocks.write(`${length} path=${path}\n`, 512);
  return blocks;
}
