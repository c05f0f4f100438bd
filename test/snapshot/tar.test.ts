import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { VerificationError } from '../../src/errors.ts';
import {
  contentsOfTar,
  maxTarBytes,
  packTar,
  tarBytes,
  tarPieces,
  type NameAndSize,
} from '../../src/snapshot/tar.ts';
import { listTree, useTempDir } from '../fixtures/directories.ts';
import { paxHeader, tarHeader } from './hostile/bytes.ts';

const tempDir = useTempDir();

const names = [
  'plain',
  'with "quotes" and spaces',
  'astral \u{1f600}',
  'a'.repeat(99),
  'b'.repeat(100),
  'c'.repeat(101),
  // Around the lengths at which the record's own length gets another digit.
  ...[85, 86, 87, 88, 90, 91].map((length) => `\u00e9${'d'.repeat(length)}`),
  // Split into prefix and name at the last `/` that works.
  `${'e/'.repeat(60)}f`,
  `swingset/artifacts/bundle.b1-${'0'.repeat(128)}`,
];
const entries = names.map((name, i) => ({
  name,
  data: Buffer.alloc([0, 1, 511, 512, 513][i % 5]!, name),
}));
const planOf = (of: readonly { name: string; data: Buffer }[]) =>
  of.map(({ name, data }) => ({ name, size: data.length }));
const plan = planOf(entries);

/** The contents of a tar that arrives in pieces. */
async function unpackTar(
  tar: Buffer,
  of: readonly NameAndSize[],
  pieceBytes = 1000,
): Promise<Buffer[]> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < tar.length; at += pieceBytes) yield tar.subarray(at, at + pieceBytes);
  }
  const contents: Buffer[] = [];
  for await (const content of contentsOfTar(pieces(), of, () => true, 'x')) {
    contents.push(Buffer.from(content));
  }
  return contents;
}

describe('tar', () => {
  it('gives back its entries', async () => {
    const tar = await packTar(entries);
    expect(await unpackTar(tar, plan)).toEqual(entries.map(({ data }) => data));
  });

  it('of no entries is only its end', async () => {
    const tar = await packTar([]);
    expect(tar.equals(Buffer.alloc(1024))).toBe(true);
    expect(await unpackTar(tar, [])).toEqual([]);
  });

  it('is read the same however it is cut, and only what is wanted', async () => {
    const tar = await packTar(entries);
    for (const pieceBytes of [1, 7, 512, 4096]) {
      expect(await unpackTar(tar, plan, pieceBytes)).toEqual(entries.map(({ data }) => data));
    }
    async function* whole(): AsyncGenerator<Uint8Array> {
      yield tar;
    }
    const some: Buffer[] = [];
    for await (const content of contentsOfTar(whole(), plan, (at) => at % 3 === 1, 'x')) {
      some.push(Buffer.from(content));
    }
    expect(some).toEqual(entries.filter((_, at) => at % 3 === 1).map(({ data }) => data));
  });

  it('has the same bytes when it is made piece by piece', async () => {
    async function* all(): AsyncGenerator<(typeof entries)[number]> {
      yield* entries;
    }
    const pieces: Buffer[] = [];
    for await (const piece of tarPieces(all())) pieces.push(Buffer.from(piece));
    expect(Buffer.concat(pieces).equals(await packTar(entries))).toBe(true);
    expect(await tarBytes(plan)).toBe((await packTar(entries)).length);
  });

  it('is the same whenever it is made', async () => {
    const tar = await packTar(entries);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2040, 0) });
    try {
      expect((await packTar(entries)).equals(tar)).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  it('is byte for byte what the specification says', async () => {
    const padding = Buffer.alloc(505);
    const content = Buffer.concat([Buffer.from('content'), padding]);
    const expected = [
      tarHeader('plain', 7, {}),
      content,
      paxHeader('ä'),
      tarHeader('PaxHeader', 7, {}),
      content,
      Buffer.alloc(1024),
    ];
    const data = Buffer.from('content');
    const tar = await packTar([
      { name: 'plain', data },
      { name: 'ä', data },
    ]);
    expect(tar.equals(Buffer.concat(expected))).toBe(true);
  });

  it('is unpacked by GNU tar to the same files', async () => {
    const dir = await tempDir();
    const input = await packTar(entries);
    const found = execFileSync('tar', ['-xvf', '-', '-C', dir], { input });
    expect(found.toString().trimEnd().split('\n')).toHaveLength(entries.length);
    const tree = await listTree(dir);
    expect(Object.keys(tree).filter((name) => tree[name]?.type === 'file')).toHaveLength(
      entries.length,
    );
    for (const { name, data } of entries) {
      expect((await readFile(path.join(dir, name))).equals(data)).toBe(true);
    }
  });

  it.each([1, 96, 100, 101, 490, 1000, 1024])(
    'is no longer than its bound, for names of %d characters',
    async (length) => {
      for (const character of ['a', '\u00e9', '\uffee']) {
        const one = [{ name: character.repeat(length), data: Buffer.alloc(513) }];
        expect((await packTar(one)).length).toBeLessThanOrEqual(maxTarBytes(planOf(one)));
      }
    },
  );

  it('takes as many entries as a chunk may have', async () => {
    const many = Array.from({ length: 16_384 }, (_, i) => ({
      name: String(i),
      data: Buffer.alloc(i % 2),
    }));
    const contents = await unpackTar(await packTar(many), planOf(many));
    expect(contents).toHaveLength(many.length);
  });

  it('is refused with any byte of its headers, padding or end changed', async () => {
    const few = [
      { name: 'one', data: Buffer.from('content') },
      { name: 'n'.repeat(120), data: Buffer.from('more') },
    ];
    const tar = await packTar(few);
    const contentAt = few.map(({ data }) => [tar.indexOf(data), data.length] as const);
    const accepted: number[] = [];
    for (let at = 0; at < tar.length; at += 1) {
      if (contentAt.some(([start, length]) => at >= start && at < start + length)) continue;
      const changed = Buffer.from(tar);
      changed[at]! ^= 0x20;
      if (!(await isRefused(changed, planOf(few)))) accepted.push(at);
    }
    expect(accepted).toEqual([]);
  });

  it('is refused if cut anywhere', async () => {
    const few = entries.slice(0, 3);
    const tar = await packTar(few);
    const accepted: number[] = [];
    for (let length = 0; length < tar.length; length += 1) {
      if (!(await isRefused(tar.subarray(0, length), planOf(few)))) accepted.push(length);
    }
    expect(accepted).toEqual([]);
  });

  it('is refused with anything more or less than its entries', async () => {
    const tar = await packTar(entries);
    const resized = plan.map(({ name, size }) => ({ name, size: size + 1 }));
    expect(await isRefused(Buffer.concat([tar, Buffer.alloc(512)]), plan)).toBe(true);
    expect(await isRefused(Buffer.concat([tar, tar]), plan)).toBe(true);
    expect(await isRefused(tar, plan.slice(1))).toBe(true);
    expect(await isRefused(tar, plan.slice(0, -1))).toBe(true);
    expect(await isRefused(tar, resized)).toBe(true);
    expect(await isRefused(await packTar(entries.slice(1)), plan)).toBe(true);
    expect(await isRefused(await packTar(entries.slice(0, -1)), plan)).toBe(true);
    expect(await isRefused(await packTar(entries.toReversed()), plan)).toBe(true);
  });
});

async function isRefused(tar: Buffer, of: readonly NameAndSize[]): Promise<boolean> {
  try {
    await unpackTar(tar, of);
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(VerificationError);
    return true;
  }
}
