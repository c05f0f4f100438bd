/** The zstd codecs that load on this Node, for tests that all of them have to pass. */

import { ZSTD_CODEC_NAMES } from '../../../src/io/zstd/codec.ts';
import type { ZstdCodec } from '../../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../../src/io/zstd/load-codec.ts';

export async function availableCodecs(): Promise<ZstdCodec[]> {
  const codecs: ZstdCodec[] = [];
  for (const name of ZSTD_CODEC_NAMES) {
    const codec = await loadZstdCodec(name).catch(() => undefined);
    if (codec !== undefined) codecs.push(codec);
  }
  return codecs;
}
