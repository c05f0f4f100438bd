/** Our own snapshots, small, with little content in many pieces, or much content in few. */
import { join } from 'node:path';
import { loadZstdCodec } from '../../src/io/zstd/load-codec.ts';
import { rawFrame } from '../snapshot/hostile/bytes.ts';
import { draftOf, forge, sha256, writeFiles, type Draft } from '../snapshot/hostile/forge.ts';
import { makeContent, smallSpec } from '../snapshot/made-export.ts';
import type { Input } from './input.ts';

const MIB = 1024 * 1024;
const content = makeContent(smallSpec);

/** A list that repeats the same lines, in frames. */
const repeating =
  (most: number, times: number, lines: (all: string[]) => string[]) =>
  (draft: Draft): void => {
    draft.lines = (all) => lines(all);
    draft.list = (text) => {
      const frame = draft.codec.compress(Buffer.concat(Array<Buffer>(most).fill(text)), 3);
      return Buffer.concat(Array<Buffer>(times).fill(Buffer.from(frame)));
    };
    draft.manifest = (manifest) => {
      const count = manifest.entries.count * most * times;
      manifest.entries.count = Math.min(count, 4 * manifest.entries.size);
      manifest.chunks.count = count;
    };
  };

/** A manifest whose field `made` has other text. */
const madeOf =
  (value: () => string) =>
  (draft: Draft): void => {
    draft.text = (manifest) =>
      `${JSON.stringify({ ...manifest, made: 'MADE' }, null, 2).replace('"MADE"', value)}\n`;
  };

/** @param random gives numbers from 0 to below 1 */
export function snapshotInputs(random: () => number): readonly Input[] {
  const about = (size: number): number => Math.ceil(size * (0.7 + 0.6 * random()));
  const changed = (name: string, change: (draft: Draft) => void): Input[] =>
    [[], ['--quick']].map((flags) => ({
      name: `snapshot${flags.length > 0 ? ', quickly' : ''}: ${name}`,
      make: async (dir) => {
        const draft = draftOf(content, await loadZstdCodec());
        change(draft);
        await writeFiles(join(dir, 'snapshot'), await forge(draft));
        return ['verify', join(dir, 'snapshot'), ...flags];
      },
    }));
  const deep = about(3000);
  return [
    ...changed(
      'two chunks in turn',
      repeating(2000, about(300), (all) => all.slice(0, 2)),
    ),
    ...changed(
      'one chunk over and over',
      repeating(4000, about(300), (all) => all.slice(0, 1)),
    ),
    ...changed('a list of blanks', (draft) => {
      draft.list = () =>
        Buffer.concat(Array<Buffer>(about(300)).fill(rawFrame(MIB, { contentSize: undefined })));
    }),
    ...changed('a list of empty frames', (draft) => {
      const nothing = Buffer.from(draft.codec.compress(Buffer.alloc(0), 3));
      draft.list = () => Buffer.concat(Array<Buffer>(about(40_000)).fill(nothing));
      draft.lines = () => [];
    }),
    ...changed('heaps of zeros', (draft) => {
      const heap = Buffer.alloc(60 * MIB);
      const vats = Array.from({ length: 40 }, (_, i) => ({
        vatID: `v${String(i).padStart(2, '0')}`,
        heap,
        spans: [['an item']],
      }));
      Object.assign(draft, draftOf(makeContent({ vats }), draft.codec));
    }),
    ...changed('a line of export data in many parts', (draft) => {
      const data = Buffer.alloc(60 * MIB, 'a');
      draft.chunks = Array.from({ length: about(12) }, (_, i) => ({
        entries: [
          { name: `swingset/export-data/${'0'.repeat(64)}/${String(i).padStart(6, '0')}`, data },
        ],
      }));
    }),
    ...changed('small artifacts that no record names', (draft) => {
      draft.chunks.push({
        entries: Array.from({ length: 16_000 }, (_, i) => {
          const name = `bundle.b1-${i}`;
          const artifact = {
            name,
            size: 0,
            sha256: sha256(''),
            identity: `bundle:b1-${i}`,
          };
          return { name: `swingset/artifacts/${name}`, data: Buffer.alloc(0), artifact };
        }),
      });
    }),
    ...changed('a height of blanks', (draft) => {
      draft.manifest = (manifest) => {
        Object.assign(manifest, { height: `a${' '.repeat(about(700_000))}b` });
      };
    }),
    ...changed('thousands of modules', (draft) => {
      draft.manifest = (manifest) => {
        for (let i = 0; i < about(9000); i += 1) manifest.modules[`m${i}`] = {};
      };
    }),
    ...changed(
      'a nested field made',
      madeOf(
        () =>
          `[${Array<string>(150)
            .fill('['.repeat(deep) + ']'.repeat(deep))
            .join(',')}]`,
      ),
    ),
    ...changed(
      'a field made with many fields',
      madeOf(() => `{${Array.from({ length: about(60_000) }, (_, i) => `"${i}":0`).join(',')}}`),
    ),
    ...changed(
      'a field made with a long number',
      madeOf(() => '1'.repeat(about(700_000))),
    ),
  ];
}
