import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ZSTD_CODEC_NAMES } from '../../../src/io/zstd/codec.ts';
import type * as LoadCodec from '../../../src/io/zstd/load-codec.ts';
import { USUAL_CODEC } from './available-codecs.ts';

const { cache } = createRequire(import.meta.url);
/** Path of a Node 24, which runs our sources directly. `.ci/node 24` gets one. */
const node24 = process.env['SWINGSNAP_NODE24'];

function loadedLibraries(): string[] {
  return Object.keys(cache).filter((path) => /[\\/](zstd-napi|zstd-codec)[\\/]/.test(path));
}

/** A process that has not chosen a codec yet. */
async function freshModule(): Promise<typeof LoadCodec> {
  vi.resetModules();
  return import('../../../src/io/zstd/load-codec.ts');
}

describe('loadZstdCodec', () => {
  beforeEach(() => {
    vi.stubEnv('SWINGSNAP_ZSTD', undefined);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it('loads no library before it is called, and then only the one it needs', async () => {
    const { loadZstdCodec } = await freshModule();
    expect(loadedLibraries()).toEqual([]);
    await loadZstdCodec('zstd-codec');
    expect(loadedLibraries().join()).toMatch(/zstd-codec-binding-wasm/);
    expect(loadedLibraries().join()).not.toMatch(/zstd-napi/);
  });

  it('takes the fastest available codec by default', async () => {
    const { loadZstdCodec } = await freshModule();
    expect((await loadZstdCodec()).name).toBe(USUAL_CODEC);
  });

  it.each([USUAL_CODEC, 'zstd-codec'])('takes %s if SWINGSNAP_ZSTD names it', async (name) => {
    vi.stubEnv('SWINGSNAP_ZSTD', name);
    const { loadZstdCodec } = await freshModule();
    expect((await loadZstdCodec()).name).toBe(name);
  });

  it('treats an empty SWINGSNAP_ZSTD as unset', async () => {
    vi.stubEnv('SWINGSNAP_ZSTD', '');
    const { loadZstdCodec } = await freshModule();
    expect(ZSTD_CODEC_NAMES).toContain((await loadZstdCodec()).name);
  });

  it('refuses a SWINGSNAP_ZSTD that does not name a codec', async () => {
    vi.stubEnv('SWINGSNAP_ZSTD', 'toString');
    const { loadZstdCodec } = await freshModule();
    await expect(loadZstdCodec()).rejects.toMatchObject({
      name: 'UsageError',
      code: 'ZSTD_CODEC_UNKNOWN',
      found: 'toString',
    });
  });

  it('chooses once, whatever the environment says later', async () => {
    vi.stubEnv('SWINGSNAP_ZSTD', 'zstd-codec');
    const { loadZstdCodec } = await freshModule();
    const first = await loadZstdCodec();
    vi.stubEnv('SWINGSNAP_ZSTD', 'zstd-napi');
    expect(await loadZstdCodec()).toBe(first);
    expect(await loadZstdCodec('zstd-codec')).toBe(first);
  });

  describe('without zstd in Node and without the native module', () => {
    beforeEach(() => {
      vi.doMock('node:zlib', () => ({ default: {} }));
      vi.doMock('node:module', () => ({
        createRequire: (from: string) => (id: string) => {
          if (id.startsWith('zstd-napi')) throw new Error('not installed');
          return createRequire(from)(id) as unknown;
        },
      }));
    });
    afterEach(() => {
      vi.doUnmock('node:zlib');
      vi.doUnmock('node:module');
    });

    it('falls back to zstd-codec', async () => {
      const { loadZstdCodec } = await freshModule();
      expect((await loadZstdCodec()).name).toBe('zstd-codec');
    });

    it.each(['node:zlib', 'zstd-napi'])('does not replace %s if it was requested', async (name) => {
      vi.stubEnv('SWINGSNAP_ZSTD', name);
      const { loadZstdCodec } = await freshModule();
      await expect(loadZstdCodec()).rejects.toMatchObject({
        name: 'UsageError',
        code: 'ZSTD_CODEC_UNAVAILABLE',
      });
    });
  });

  it('returns codecs that print nothing, even for damaged frames and Buffers', async () => {
    const script = `
      import { loadZstdCodec } from './src/io/zstd/load-codec.ts';
      const codec = await loadZstdCodec('zstd-codec');
      const frame = codec.compress(Buffer.from('some text '.repeat(1000)), 9);
      codec.decompress(Buffer.from(frame), 10000);
      frame.fill(0xff, 30);
      try { codec.decompress(Buffer.from(frame), 10000); } catch { process.exitCode = 9; }
    `;
    const child = promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', script],
      { env: { ...process.env, NODE_OPTIONS: '' } },
    );
    await expect(child).rejects.toMatchObject({ code: 9, stdout: '', stderr: '' });
  });

  if (node24 !== undefined) {
    it('takes node:zlib on Node 24 if zstd-napi is not there, and all codecs read each other’s frames', async () => {
      const script = fileURLToPath(new URL('node24-cross-decode.ts', import.meta.url));
      const env = { ...process.env, NODE_OPTIONS: '', SWINGSNAP_ZSTD: '' };
      const { stdout } = await promisify(execFile)(node24, [script], { env });
      const hasNapi = existsSync(new URL('../../../node_modules/zstd-napi', import.meta.url));
      expect(JSON.parse(stdout)).toEqual({
        chosen: hasNapi ? 'zstd-napi' : 'node:zlib',
        all: ['node:zlib', ...(hasNapi ? ['zstd-napi'] : []), 'zstd-codec'],
      });
    }, 120_000);
  }
});
