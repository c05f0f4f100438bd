/** Chooses the zstd codec of this process. */

import { UsageError } from '../../errors.ts';
import { ZSTD_CODEC_NAMES, type ZstdCodec, type ZstdCodecName } from './codec.ts';

/** Selects the codec, for comparisons and to work around a broken codec. */
const CODEC_VARIABLE = 'SWINGSNAP_ZSTD';

/** Each loads its library only when called. */
const OPENERS: Record<ZstdCodecName, () => Promise<ZstdCodec>> = {
  'node:zlib': async () => (await import('./with-node-zlib.ts')).openNodeZlib(),
  'zstd-napi': async () => (await import('./with-zstd-napi.ts')).openZstdNapi(),
  'zstd-codec': async () => (await import('./with-zstd-codec.ts')).openZstdCodec(),
};

const opened = new Map<ZstdCodecName, Promise<ZstdCodec>>();
let chosen: Promise<ZstdCodec> | undefined;

/**
 * The codec `name`, or by default the codec of this process: the one in the environment variable `SWINGSNAP_ZSTD`,
 * else the first of `zstd-napi`, `node:zlib` (Node 22.15 and later) and `zstd-codec` that loads. The choice is made
 * once.
 *
 * @throws UsageError `ZSTD_CODEC_UNKNOWN` for any other name, `ZSTD_CODEC_UNAVAILABLE` if the codec does not load
 */
export function loadZstdCodec(name?: ZstdCodecName): Promise<ZstdCodec> {
  if (name !== undefined) return openOnce(name);
  chosen ??= choose();
  return chosen;
}

async function choose(): Promise<ZstdCodec> {
  const named = process.env[CODEC_VARIABLE];
  if (named !== undefined && named !== '') return openOnce(named);
  for (const name of ['zstd-napi', 'node:zlib'] as const) {
    try {
      return await openOnce(name);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
    }
  }
  return openOnce('zstd-codec');
}

async function openOnce(name: string): Promise<ZstdCodec> {
  const known = ZSTD_CODEC_NAMES.find((candidate) => candidate === name);
  if (known === undefined) {
    throw new UsageError('ZSTD_CODEC_UNKNOWN', 'unknown zstd codec', {
      expected: ZSTD_CODEC_NAMES.join(', '),
      found: name,
      hint: `unset ${CODEC_VARIABLE}, or set it to one of these`,
    });
  }
  let codec = opened.get(known);
  if (codec === undefined) {
    codec = OPENERS[known]();
    opened.set(known, codec);
  }
  return codec;
}
