import { rename } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ZstdCodec } from '../../src/io/zstd/codec.ts';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { bombs } from './hostile/bombs.ts';
import type { Case } from './hostile/case.ts';
import { data } from './hostile/data.ts';
import { draftOf, forge, writeFiles } from './hostile/forge.ts';
import { lists } from './hostile/lists.ts';
import { manifests } from './hostile/manifests.ts';
import { names } from './hostile/names.ts';
import { order } from './hostile/order.ts';
import { parts, splitSegment, splitSegments } from './hostile/parts.ts';
import { tars } from './hostile/tars.ts';
import { makeContent, smallSpec, splitSpec } from './made-export.ts';
import { restore, verify } from './refusal.ts';

const MIB = 1024 * 1024;
const small = makeContent(smallSpec);
const split = makeContent(splitSpec);
let codec: ZstdCodec;
beforeAll(async () => {
  codec = await loadZstdCodec();
});

describe('a forged snapshot whose hashes are right', () => {
  const tempDir = useTempDir();

  async function forged(content: typeof small, change: Case[2]): Promise<string> {
    const draft = draftOf(content, codec);
    // Each case changes its own copy of the entries.
    draft.chunks = draft.chunks.map((chunk) => ({
      ...chunk,
      entries: chunk.entries.map((entry) => ({
        ...entry,
        ...(entry.artifact ? { artifact: { ...entry.artifact } } : {}),
      })),
    }));
    await change(draft);
    const dir = path.join(await tempDir(), 'snapshot');
    await writeFiles(dir, await forge(draft));
    return dir;
  }

  async function expectRefused(dir: string, code: string): Promise<void> {
    const before = await listTree(dir);
    expect(await verify(dir)).toMatchObject({ exitCode: 3, code });
    expect(await restore(dir, await tempDir())).toMatchObject({ exitCode: 3, code });
    expect(await listTree(dir)).toEqual(before);
  }

  it('is accepted if nothing else is wrong with it', async () => {
    for (const content of [small, split]) {
      const dir = await forged(content, () => undefined);
      expect(await verify(dir)).toBeUndefined();
      expect(await restore(dir, await tempDir())).toBeUndefined();
    }
    const dir = await forged(
      small,
      splitSegment((entries) => entries),
    );
    expect(await verify(dir)).toBeUndefined();
  });

  const groups = { names, order, lists, tars, data, manifests } as const;
  for (const [group, cases] of Object.entries(groups)) {
    describe(`${group}: is refused with`, () => {
      it.each(cases)('%s', async (_what, code, change) => {
        await expectRefused(await forged(small, change), code);
      });
    });
  }

  describe('parts: is refused with', () => {
    it.each(parts)('%s', async (_what, code, change) => {
      await expectRefused(await forged(split, change), code);
    });
    it.each(splitSegments)('%s', async (_what, code, change) => {
      await expectRefused(await forged(small, change), code);
    });
  });

  it('is refused in a directory named after another height', async () => {
    const dir = await forged(small, () => undefined);
    for (const [name, refused] of [
      ['8', true],
      ['0', true],
      ['7', false],
      ['07', false],
      ['backup-8', false],
    ] as const) {
      const renamed = path.join(path.dirname(dir), name);
      await rename(dir, renamed);
      const found = await verify(renamed);
      if (refused) expect(found).toMatchObject({ exitCode: 3, code: 'SNAPSHOT_DAMAGED' });
      else expect(found).toBeUndefined();
      await rename(renamed, dir);
    }
  });

  it('is accepted with fields in made that a later program may write', async () => {
    const dir = await forged(small, (draft) => {
      draft.manifest = (manifest) => {
        manifest.made['reused'] = 12;
      };
    });
    expect(await verify(dir)).toBeUndefined();
  });
});

describe('a forged snapshot that would exhaust memory', () => {
  const tempDir = useTempDir();

  /** Peak of resident memory above its level before, in bytes. */
  async function peakOf(work: () => Promise<void>): Promise<number> {
    globalThis.gc?.();
    const before = process.memoryUsage.rss();
    let peak = before;
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage.rss());
    }, 5);
    try {
      await work();
    } finally {
      clearInterval(timer);
    }
    return Math.max(peak, process.memoryUsage.rss()) - before;
  }

  it.each(bombs)('is refused in bounded memory: %s', async (_what, code, change) => {
    const draft = draftOf(small, codec);
    await change(draft);
    const dir = await tempDir();
    await writeFiles(dir, await forge(draft));
    const peak = await peakOf(async () => {
      expect(await verify(dir)).toMatchObject({ exitCode: 3, code });
    });
    expect(peak).toBeLessThan(200 * MIB);
  });
});
