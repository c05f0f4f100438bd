import { existsSync } from 'node:fs';
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { gzipWhole } from '../../src/io/bytes/gzip.ts';
import { noProgress } from '../../src/io/progress.ts';
import { restore } from '../../src/operation/restore/restore.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference, referenceExport } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';

describe('a blob that SQLite cannot keep', () => {
  const tempDir = useTempDir();
  afterAll(closeReference);

  it('is refused before anything is built, and the error names it', async () => {
    const dir = await tempDir();
    const [S, E, R] = ['S', 'E', 'R'].map((name) => join(dir, name)) as [string, string, string];
    await buildStore(S, tinySpec);
    await mkdir(E);
    await referenceExport(S, E);
    const manifest = JSON.parse(await readFile(join(E, 'export-manifest.json'), 'utf8')) as {
      artifacts: [string, string][];
    };
    const [name, file] = manifest.artifacts.find(([found]) => found.startsWith('bundle.'))!;
    // All but its first bytes is a hole.
    await truncate(join(E, file), 1_000_000_001);
    const restored = restore({
      source: E,
      stateDir: R,
      replace: false,
      requireProof: false,
      paranoid: false,
      progress: noProgress,
    });
    await expect(restored).rejects.toMatchObject({ code: 'BLOB_TOO_LARGE', path: name });
    expect(existsSync(R)).toBe(false);
  });
});

describe('gzip into one buffer', () => {
  const tempDir = useTempDir();
  const random = Buffer.from(
    Uint32Array.from({ length: 6_000_000 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) ^ (i << 7))
      .buffer,
  );
  async function* pieces(): AsyncGenerator<Buffer> {
    for (let at = 0; at < random.length; at += 1_000_000) {
      yield random.subarray(at, at + 1_000_000);
    }
  }
  const options = (scratchFile: string, maxBytes: number) => ({
    level: 1,
    maxBytes,
    scratchFile,
    tooLarge: (bytes: number) => new Error(`${bytes} are too many`),
  });

  it('keeps every byte, also when it goes through the scratch file', async () => {
    const scratchFile = join(await tempDir(), 'gz');
    const whole = await gzipWhole(pieces(), options(scratchFile, 1e9));
    expect(whole.length).toBeGreaterThan(16 * 1024 * 1024);
    expect(gunzipSync(whole).equals(random)).toBe(true);
    expect(existsSync(scratchFile)).toBe(false);
  });

  it('fails at its limit, and leaves no scratch file', async () => {
    const scratchFile = join(await tempDir(), 'gz');
    await expect(gzipWhole(pieces(), options(scratchFile, 17_000_000))).rejects.toThrow('too many');
    expect(existsSync(scratchFile)).toBe(false);
  });

  it('passes on an error of its source', async () => {
    const dir = await tempDir();
    async function* broken(): AsyncGenerator<Buffer> {
      yield Buffer.from('x');
      throw new Error('damaged');
    }
    await writeFile(join(dir, 'other'), 'stays');
    const whole = gzipWhole(broken(), options(join(dir, 'gz'), 1e9));
    await expect(whole).rejects.toThrow('damaged');
    expect(existsSync(join(dir, 'other'))).toBe(true);
  });
});
