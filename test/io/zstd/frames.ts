/** Zstandard frames built by hand from RFC 8878, and frames that our own codecs would never write. */

import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { NODE_HAS_ZSTD } from './available-codecs.ts';

export interface BlockParts {
  readonly type: 'raw' | 'rle' | 'compressed' | 'reserved';
  readonly size: number;
  readonly last?: boolean;
  /** Default: as many zeros as type and size require. */
  readonly body?: readonly number[];
}

export interface FrameParts {
  readonly magic?: number;
  readonly descriptor?: number;
  /** The bytes between the descriptor and the first block: window, dictionary id, content size. */
  readonly fields?: readonly number[];
  readonly blocks?: readonly BlockParts[];
  readonly checksum?: readonly number[];
}

/** Window_Descriptor of a window of `2 ** log` bytes plus `eighths` eighths of that. */
export function windowDescriptor(log: number, eighths = 0): number {
  return ((log - 10) << 3) | eighths;
}

/** Default: a window of 1 KiB, no content size, no checksum, one empty last block. */
export function buildFrame(parts: FrameParts = {}): Uint8Array {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(parts.magic ?? 0xfd2fb528);
  const blocks = parts.blocks ?? [{ type: 'raw', size: 0, last: true }];
  return Uint8Array.from([
    ...magic,
    parts.descriptor ?? 0,
    ...(parts.fields ?? [windowDescriptor(10)]),
    ...blocks.flatMap(buildBlock),
    ...(parts.checksum ?? []),
  ]);
}

function buildBlock({ type, size, last = false, body }: BlockParts): number[] {
  const code = { raw: 0, rle: 1, compressed: 2, reserved: 3 }[type];
  const header = (size << 3) | (code << 1) | (last ? 1 : 0);
  const content = body ?? Array.from({ length: type === 'rle' ? 1 : size }, () => 0);
  return [header & 0xff, (header >> 8) & 0xff, header >> 16, ...content];
}

type Parameter = 'compressionLevel' | 'windowLog' | 'checksumFlag' | 'enableLongDistanceMatching';

/** One frame without a content size, as from a program that compresses piped input. */
export function streamedFrame(
  pieces: Iterable<Uint8Array>,
  parameters: Partial<Record<Parameter, number>> = {},
): Uint8Array {
  const raw = Buffer.concat([...pieces]);
  return NODE_HAS_ZSTD ? streamedByNode(raw, parameters) : streamedByNapi(raw, parameters);
}

/** Only the asynchronous stream interface does not know the size in advance, so a child process waits for it. */
function streamedByNode(raw: Uint8Array, parameters: Record<string, number>): Uint8Array {
  const script = `
    const zlib = require('node:zlib');
    const params = Object.entries(JSON.parse(process.argv[1]))
      .map(([name, value]) => [zlib.constants['ZSTD_c_' + name], value]);
    const compress = zlib.createZstdCompress({ params: Object.fromEntries(params) });
    compress.pipe(process.stdout);
    // If it ended in the same turn, the frame would declare its size, or another frame would follow.
    compress.write(require('node:fs').readFileSync(0), () => compress.end());
  `;
  const frame = execFileSync(process.execPath, ['-e', script, JSON.stringify(parameters)], {
    input: raw,
    env: {},
    maxBuffer: 2 ** 30,
  });
  return new Uint8Array(frame);
}

/** The used part of `zstd-napi/binding`, which is installed only on a Node without built-in zstd. */
interface NapiBinding {
  readonly CCtx: new () => {
    setParameter(parameter: number, value: number): void;
    compressStream2(
      room: Uint8Array,
      piece: Uint8Array,
      directive: number,
    ): [left: number, made: number, read: number];
  };
  readonly CParameter: Readonly<Record<Parameter, number>>;
  readonly EndDirective: Readonly<Record<'continue' | 'end', number>>;
  cStreamOutSize(): number;
}

function streamedByNapi(raw: Uint8Array, parameters: Record<string, number>): Uint8Array {
  const binding = createRequire(import.meta.url)('zstd-napi/binding') as NapiBinding;
  const context = new binding.CCtx();
  for (const [name, value] of Object.entries(parameters)) {
    context.setParameter(binding.CParameter[name as Parameter], value);
  }
  const output: Uint8Array[] = [];
  const room = Buffer.alloc(binding.cStreamOutSize());
  const send = (piece: Uint8Array, directive: number): void => {
    let rest = piece;
    for (;;) {
      const [left, made, read] = context.compressStream2(room, rest, directive);
      output.push(Buffer.from(room.subarray(0, made)));
      rest = rest.subarray(read);
      if (rest.length === 0 && (directive !== binding.EndDirective.end || left === 0)) return;
    }
  };
  send(raw, binding.EndDirective.continue);
  send(new Uint8Array(0), binding.EndDirective.end);
  return new Uint8Array(Buffer.concat(output));
}
