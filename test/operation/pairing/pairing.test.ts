import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { readMultistoreHeight } from '../../../src/operation/pairing/multistore.ts';
import {
  compareWithMultistore,
  describePairing,
  refuseUnpaired,
  restoredHead,
} from '../../../src/operation/pairing/pairing.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';
import {
  heightValue,
  makeMultistore,
  REAL_MULTISTORE,
  REAL_MULTISTORE_HEIGHT,
} from '../../fixtures/multistore.ts';
import { REAL_SNAPSHOTS } from '../../fixtures/state-sync/real-node.ts';

const tempDir = useTempDir();

async function homeWith(latest?: number | Uint8Array): Promise<string> {
  const home = await tempDir();
  await makeMultistore(home, latest);
  return home;
}

describe('the height of a multistore', () => {
  it('is read from that of a real node, of which nothing is changed', async () => {
    const home = await tempDir();
    cpSync(REAL_MULTISTORE, path.join(home, 'data', 'application.db'), { recursive: true });
    const before = await listTree(home);
    expect(await readMultistoreHeight(home)).toEqual({ height: REAL_MULTISTORE_HEIGHT });
    expect(await listTree(home)).toEqual(before);
  });

  it.each([1, 127, 128, 20_000_000, Number.MAX_SAFE_INTEGER])('may be %d', async (height) => {
    expect(await readMultistoreHeight(await homeWith(height))).toEqual({ height });
  });

  it.each([
    ['other bytes', Buffer.from('76')],
    ['a number that does not end', Uint8Array.of(8, 0x80)],
    ['no number', Uint8Array.of(8)],
    ['more than a number', Uint8Array.of(8, 76, 76)],
    ['a negative number', Uint8Array.of(8, ...Array<number>(9).fill(0xff), 1)],
    ['a number beyond exact ones', heightValue(Number.MAX_SAFE_INTEGER + 1)],
    ['kilobytes', Buffer.alloc(5000, 8)],
  ])('is unknown if the value is %s', async (_, value) => {
    expect(await readMultistoreHeight(await homeWith(value))).toEqual({
      unknown: 'its value of s/latest is no height',
    });
  });

  it.each([
    ['nothing', undefined],
    ['height 0', 0],
    ['an empty message, which is 0', new Uint8Array()],
  ])('is none of a multistore that has committed %s', async (_, value) => {
    expect(await readMultistoreHeight(await homeWith(value))).toEqual({
      none: expect.stringMatching(/no committed height/u) as string,
    });
  });

  it('is none of another database of the same kind', async () => {
    const [real] = REAL_SNAPSHOTS;
    const home = await tempDir();
    const metadata = path.join(real.dir, 'metadata.db');
    cpSync(metadata, path.join(home, 'data', 'application.db'), { recursive: true });
    expect(await readMultistoreHeight(home)).toHaveProperty('none');
  });

  it('is none without application.db', async () => {
    const none = expect.stringMatching(/no data\/application.db/u) as string;
    expect(await readMultistoreHeight(await tempDir())).toEqual({ none });
  });

  it('is unknown of another backend, whose name is told', async () => {
    const home = await homeWith(76);
    writeFileSync(path.join(home, 'data', 'application.db', 'OPTIONS-000004'), '');
    expect(await readMultistoreHeight(home)).toEqual({
      unknown: expect.stringMatching(
        /not a database of LevelDB .*OPTIONS-000004.*app-db-backend/u,
      ) as string,
    });
    const file = await tempDir();
    mkdirSync(path.join(file, 'data'));
    writeFileSync(path.join(file, 'data', 'application.db'), '');
    expect(await readMultistoreHeight(file)).toEqual({
      unknown: 'data/application.db is no directory',
    });
  });

  it('is unknown of a garbage manifest', async () => {
    const home = await homeWith(76);
    const db = path.join(home, 'data', 'application.db');
    const manifest = readdirSync(db).find((name) => name.startsWith('MANIFEST'));
    writeFileSync(path.join(db, manifest ?? ''), Buffer.alloc(300, 'garbage'));
    expect(await readMultistoreHeight(home)).toEqual({
      unknown: expect.stringMatching(/is damaged \(.*MANIFEST/u) as string,
    });
  });
});

describe('a store and a multistore', () => {
  const pairs = [
    [76, false, 'same', 0, 'continues', /the same as the store: a start goes on with block 77/u],
    [76, true, 'same', 0, 'continues', /goes on with block 77/u],
    [77, false, 'ahead', 1, 'destroys', /ahead by 1: a start destroys the multistore/u],
    [77, true, 'ahead', 1, 'recovers', /ahead by 1: a start recovers: it replays block 77/u],
    [78, true, 'ahead', 2, 'stops', /"Unimplemented reset state from 78 to 77"/u],
    [75, true, 'behind', 1, 'stops', /"Unimplemented reset state from 75 to 77"/u],
    [
      50,
      false,
      'behind',
      26,
      'stops',
      /behind by 26: .*"Unimplemented reset state from 50 to 77"/u,
    ],
    [0, false, 'behind', 76, 'destroys', /destroys/u],
  ] as const;

  it.each(pairs)(
    'of height %d, with sends %s, beside 76: %s by %d, a start %s',
    async (height, hasSends, relation, by, start, text) => {
      const home = await homeWith(76);
      const notes: string[] = [];
      const note = (message: string) => void notes.push(message);
      const pairing = await compareWithMultistore({ height, hasSends }, home, { note });
      const at = path.join(home, 'data', 'application.db');
      expect(pairing).toEqual({ path: at, height: 76, relation, by, start });
      expect(describePairing(pairing!)).toMatch(text);
      expect(notes).toEqual([]);
      const refuse = (): void => {
        refuseUnpaired(pairing, { height, source: '/b/snapshots', home });
      };
      if (start === 'stops' || start === 'destroys') {
        expect(refuse).toThrow(expect.objectContaining({ code: 'UNPAIRED', exitCode: 3 }));
      } else expect(refuse).not.toThrow();
    },
  );

  it('are not compared without a height: a note says why', async () => {
    const notes: string[] = [];
    const note = (message: string) => void notes.push(message);
    const compare = (home: string) => compareWithMultistore(restoredHead(9), home, { note });
    expect(await compare(await tempDir())).toBeUndefined();
    expect(await compare(await homeWith())).toBeUndefined();
    const home = await homeWith(Buffer.from('x'));
    const unknown = { path: path.join(home, 'data', 'application.db'), relation: 'unknown' };
    expect(await compare(home)).toEqual(unknown);
    expect(notes).toEqual([
      expect.stringMatching(/^there is no data\/application.db: .* are not compared$/u),
      expect.stringMatching(/^data\/application.db has no committed height: .* are not compared$/u),
      'the height of the multistore is unknown: its value of s/latest is no height',
    ]);
  });
});
