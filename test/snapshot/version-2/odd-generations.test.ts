/** Snapshots of version 2 whose artifacts come, go and come again in ways that few stores have. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { useTempDir } from '../../fixtures/directories.ts';
import {
  makeContent,
  noise,
  writeExportDir,
  type MadeArtifact,
  type MadeContent,
  type MadeVat,
} from '../made-export.ts';
import { runRecipe } from '../recipe.ts';
import { restore, verify } from '../refusal.ts';
import { chunksOf, entriesOf, strayFiles, take, unusedIn, type TakeOptions } from './taken.ts';

const heap = (seed: string, bytes = 20_000): Buffer => Buffer.from(noise(bytes, seed));
const vat = (vatID: string, of: string = vatID): MadeVat => ({
  vatID,
  heap: heap(of),
  spans: [[`first of ${vatID}`], [`second of ${vatID}`]],
});

describe('a snapshot of version 2 after another', () => {
  const tempDir = useTempDir();

  async function taken(dir: string, content: MadeContent, options: TakeOptions = {}) {
    const exportDir = await writeExportDir(path.join(await tempDir(), 'export'), content);
    return take(dir, { exportDir, remove: 'never', wait: false }, options);
  }

  /** Takes a snapshot that must hold all artifacts of the content, for every reader. */
  async function whole(dir: string, content: MadeContent) {
    const result = await taken(dir, content);
    const snapshot = path.join(dir, String(content.height));
    expect(await verify(snapshot)).toBeUndefined();
    expect(await restore(snapshot, await tempDir())).toBeUndefined();
    const names = content.artifacts.map(({ name }) => name).sort();
    expect([...(await chunksOf(snapshot)).keys()].sort()).toEqual(names);
    expect(await strayFiles(snapshot)).toEqual([]);
    const out = await tempDir();
    const { stdout } = await runRecipe(out, snapshot, path.join(out, 'export'));
    expect(stdout).toContain(result.manifest.contentHash);
    return { ...result, snapshot };
  }

  const without = (content: MadeContent, isLeftOut: (artifact: MadeArtifact) => boolean) => ({
    ...content,
    artifacts: content.artifacts.filter((artifact) => !isLeftOut(artifact)),
  });

  it('holds an artifact whose content an earlier chunk has under another name', async () => {
    const dir = await tempDir();
    await whole(dir, makeContent({ height: 7, vats: [vat('v1'), vat('v2')] }));
    // Another vat with the heap and the spans of v1; and v2 has taken its heap again, at a later position.
    const twin: MadeVat = { ...vat('v1'), vatID: 'v3' };
    const later: MadeVat = { ...vat('v2'), spans: [['first of v2', 'more'], ['second of v2']] };
    await whole(dir, makeContent({ height: 8, vats: [vat('v1'), later, twin] }));
  });

  it('has no chunk of which it turns out to need nothing', async () => {
    const dir = await tempDir();
    const vats = [vat('v1'), vat('v2')];
    const isPast = ({ name }: MadeArtifact): boolean => name.endsWith('.0.1');
    const present = makeContent({ height: 7, artifactMode: 'operational', vats });
    await whole(dir, without(present, isPast));
    // The history comes later, so that it has a chunk of its own.
    const all = await whole(dir, makeContent({ height: 8, vats }));
    const chunks = await chunksOf(all.snapshot);
    expect(chunks.get('transcript.v1.0.1')).not.toBe(chunks.get('transcript.v1.1.2'));
    // Its records are still there, so that its chunk might be needed. It is not.
    const debug = makeContent({ height: 9, artifactMode: 'debug', vats });
    const { reused, manifest } = await whole(dir, without(debug, isPast));
    expect(reused.chunks).toBe(manifest.chunks.count);
  });

  it('holds an artifact again that an earlier chunk has among what is unused', async () => {
    const dir = await tempDir();
    const vats = [vat('v1'), vat('v2'), vat('v3')];
    await whole(dir, makeContent({ height: 7, vats }));
    const second = await whole(dir, makeContent({ height: 8, vats: vats.slice(0, 2) }));
    expect(await unusedIn(second.snapshot)).toContain('snapshot.v3.1');
    const third = await whole(dir, makeContent({ height: 9, vats }));
    const named = (await entriesOf(third.snapshot)).filter(({ name }) =>
      name.endsWith('snapshot.v3.1'),
    );
    expect(named.map(({ unused }) => unused)).toEqual([undefined, true]);
  });

  it('becomes an export by the shell recipe whatever its artifacts are called', async () => {
    const dir = await tempDir();
    const odd = ['v"1"', "v'2", 'v$3', 'v*4', 'v-5', 'v%d'];
    const vats = odd.sort().map((vatID) => vat(vatID));
    await whole(dir, makeContent({ height: 7, vats }));
    // Half of them are gone, so that names with quotes are among what is unused.
    const gone = vats.filter(({ vatID }) => vatID !== 'v"1"');
    const second = await whole(dir, makeContent({ height: 8, vats: gone }));
    expect(await unusedIn(second.snapshot)).toContain('snapshot.v"1".1');
  });

  it('leaves other modules as they are, whatever their files are called', async () => {
    const dir = await tempDir();
    const files = path.join(await tempDir(), 'files');
    await mkdir(files);
    const names = ['a\\nb', 'a\nb', '\\', '"', '\\"', '%b', '-x', ' a ', '\t', '*', '\\u0041'];
    for (const name of names) await writeFile(path.join(files, name), `content of ${name}`);
    const modules = [{ name: 'ibc', kind: 'files', dir: files }];
    await taken(dir, makeContent({ height: 7, vats: [vat('v1')] }), { modules });
    const out = await tempDir();
    await runRecipe(out, path.join(dir, '7'), path.join(out, 'export'));
    const found = path.join(out, 'export', 'other-modules', 'ibc', 'files');
    expect((await readdir(found)).sort()).toEqual([...names].sort());
    for (const name of names) {
      expect(await readFile(path.join(found, name), 'utf8')).toBe(`content of ${name}`);
    }
  });
});
