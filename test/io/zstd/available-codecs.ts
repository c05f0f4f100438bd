/** The zstd codecs that load on this Node, for tests that all of them must pass. */

import zlib from 'node:zlib';
import { ZSTD_CODEC_NAMES, type ZstdCodec } from '../../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../../src/io/zstd/load-codec.ts';

/** Node 22.15 and later. */
export const NODE_HAS_ZSTD = 'zstdCompressSync' in zlib;

/** The codec that a fresh install uses on this Node. */
export const USUAL_CODEC = NODE_HAS_ZSTD ? 'node:zlib' : 'zstd-napi';

export async function availableCodecs(): Promise<ZstdCodec[]> {
  const codecs: ZstdCodec[] = [];
  for (const name of ZSTD_CODEC_NAMES) {
    const codec = await loadZstdCodec(name).catch(() => undefined);
    if (codec !== undefined) codecs.push(codec);
  }
  return codecs;
}
