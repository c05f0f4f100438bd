import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

import { VerificationError } from '../../../src/errors.ts';
import { packTar, tarBytes, unpackTar } from '../../../src/formats/snapshot/tar.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();

const names = [
  'plain',
  'with "quotes" and spaces',
  'astral \u{1f600}',
  'a'.repeat(99),
  'b'.repeat(100),
  'c'.repeat(101),
  // Around the lengths at which the record's own length has one digit more.
  ...[85, 86, 87, 88, 90, 91].map((length) => `\u00e9${'d'.repeat(length)}`),
  `swingset/artifacts/bundle.b1-${'0'.repeat(128)}`,
];
const entries = names.map((name, i) => ({
  name,
  data: Buffer.alloc([0, 1, 511, 512, 513][i % 5]!, name),
}));
const plan = entries.map(({ name, data }) => ({ name, size: data.length }));

describe('tar', () => {
  it('gives back its entries', () => {
    const tar = packTar(entries);
    expect(tar).toHaveLength(tarBytes(plan));
    expect(unpackTar(tar, plan, 'x')).toEqual(entries.map(({ data }) => data));
  });

  it('is what GNU tar unpacks to the same files', async () => {
    const dir = await tempDir();
    const found = execFileSync('tar', ['-xvf', '-', '-C', dir], { input: packTar(entries) });
    expect(found.toString().trimEnd().split('\n')).toHaveLength(entries.length);
    const tree = await listTree(dir);
    expect(Object.keys(tree).filter((name) => tree[name]?.type === 'file')).toHaveLength(
      entries.length,
    );
    for (const { name, data } of entries) {
      expect((await readFile(path.join(dir, name))).equals(data)).toBe(true);
    }
  });

  it('is byte for byte what GNU tar writes of a plain file', async () => {
    const dir = await tempDir();
    await writeFile(path.join(dir, 'plain'), 'content');
    const options = [
      '--format=ustar',
      '--mode=644',
      '--owner=:0',
      '--group=:0',
      '--mtime=@0',
      '--numeric-owner',
    ];
    const args = ['-cf', '-', '-b', '1', ...options, '-C', dir, 'plain'];
    const theirs = execFileSync('tar', args);
    const ours = packTar([{ name: 'plain', data: Buffer.from('content') }]);
    expect(ours.equals(theirs)).toBe(true);
  });

  it('is refused with any byte of its headers, padding or end changed', () => {
    const few = [
      { name: 'one', data: Buffer.from('content') },
      { name: 'n'.repeat(120), data: Buffer.from('more') },
    ];
    const tar = packTar(few);
    const fewPlan = few.map(({ name, data }) => ({ name, size: data.length }));
    const contentAt = few.map(({ data }) => [tar.indexOf(data), data.length] as const);
    const accepted: number[] = [];
    for (let at = 0; at < tar.length; at += 1) {
      if (contentAt.some(([start, length]) => at >= start && at < start + length)) continue;
      const changed = Buffer.from(tar);
      changed[at]! ^= 0x20;
      if (!isRefused(changed, fewPlan)) accepted.push(at);
    }
    expect(accepted).toEqual([]);
  });

  it('is refused with anything more or less than its entries', () => {
    const tar = packTar(entries);
    const zeros = Buffer.alloc(512);
    const others = [Buffer.concat([tar, zeros]), tar.subarray(0, -512), Buffer.alloc(0)];
    for (const other of others) {
      expect(() => unpackTar(other, plan, 'x')).toThrow(VerificationError);
    }
    expect(() => unpackTar(tar, plan.slice(1), 'x')).toThrow(VerificationError);
    expect(() => unpackTar(packTar(entries.slice(1)), plan, 'x')).toThrow(VerificationError);
    expect(() => unpackTar(packTar(entries.toReversed()), plan, 'x')).toThrow(VerificationError);
  });
});

function isRefused(tar: Buffer, of: Parameters<typeof unpackTar>[1]): boolean {
  try {
    unpackTar(tar, of, 'x');
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(VerificationError);
    return true;
  }
}
