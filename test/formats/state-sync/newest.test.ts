/** Which of the state-sync snapshots of a node is taken. */
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import type * as Newest from '../../../src/formats/state-sync/newest.ts';
import { listTree, useTempDir } from '../../fixtures/directories.ts';
import {
  addToListing,
  listingKey,
  listSnapshot,
} from '../../fixtures/state-sync/list-snapshots.ts';
import { loadArchive } from '../../fixtures/state-sync/load-archive.ts';
import { describeSnapshot, writeChunks } from '../../fixtures/state-sync/make-snapshot.ts';
import { REAL_SNAPSHOTS } from '../../fixtures/state-sync/real-node.ts';

// The built code, which opens databases in a process of their own.
const built = new URL('../../../dist/formats/state-sync/newest.js', import.meta.url).href;
const { newestStateSync, stateSyncHeights } = (await import(built)) as typeof Newest;

const tempDir = useTempDir();
const NODE = fileURLToPath(
  new URL('../../fixtures/state-sync/snapshotting-node.js', import.meta.url),
);
/** What a node wrote. */
const [SMALL] = REAL_SNAPSHOTS;
const [WHOLE] = loadArchive(SMALL.archive).chunks as [Buffer];
const UNFINISHED = WHOLE.subarray(0, 1_000_000);

interface Home {
  readonly home: string;
  readonly place: string;
  /** Adds a snapshot; lists it as having so many chunks. */
  readonly add: (height: number, chunks: readonly Buffer[], listed?: number) => Promise<void>;
}

async function makeHome(): Promise<Home> {
  const home = await tempDir();
  const place = path.join(home, 'data', 'snapshots');
  const add: Home['add'] = async (height, chunks, listed) => {
    await writeChunks(home, height, 3, chunks);
    if (listed !== undefined)
      await listSnapshot(place, height, new Array<Buffer>(listed).fill(WHOLE));
  };
  return { home, place, add };
}

async function newest(place: string, height?: number) {
  const notes: string[] = [];
  const scratchDir = await tempDir();
  const note = (message: string): void => void notes.push(message);
  const found = await newestStateSync(place, { height, scratchDir, note });
  expect(await listTree(scratchDir)).toEqual({});
  return { height: found?.height, path: found?.path, notes };
}

describe('of the state-sync snapshots that a node lists', () => {
  it('the newest is taken, not an unfinished one above it, which is named', async () => {
    const { place, add } = await makeHome();
    await add(10, [WHOLE], 1);
    await add(20, [WHOLE], 1);
    await add(30, [UNFINISHED]);
    const before = await listTree(place);
    expect(await newest(place)).toEqual({
      height: 20,
      path: path.join(place, '20', '3'),
      notes: ['passed over 30/3 (not listed in metadata.db, so unfinished)'],
    });
    expect(await listTree(place)).toEqual(before);
  });

  it('one that lacks chunks is passed over, and so is one that is gone', async () => {
    const { place, add } = await makeHome();
    await add(10, [WHOLE], 1);
    await add(20, [WHOLE], 2);
    await add(30, [WHOLE, WHOLE], 1);
    await add(40, [WHOLE, WHOLE, WHOLE], 3);
    rmSync(path.join(place, '40', '3', '1'));
    await add(50, [WHOLE], 1);
    rmSync(path.join(place, '50'), { recursive: true });
    const { height, notes } = await newest(place);
    expect({ height, notes }).toEqual({
      height: 10,
      notes: [
        'passed over 50/3 (listed in metadata.db, but no chunk is there), 40/3 (chunk 1 is missing), ' +
          '30/3 (2 chunks, of which metadata.db lists 1), 20/3 (chunk 1 is missing)',
      ],
    });
    expect(await stateSyncHeights(place, await tempDir())).toEqual([10]);
  });

  it('one is selected by its height', async () => {
    const { place, add } = await makeHome();
    for (const height of [10, 20]) await add(height, [WHOLE], 1);
    expect(await newest(place, 10)).toMatchObject({ height: 10, notes: [] });
    expect(await newest(place, 15)).toMatchObject({ height: undefined, notes: [] });
  });

  it('an unfinished one is refused if it is selected, and read if it is named', async () => {
    const { place, add } = await makeHome();
    for (const height of [10, 20]) await add(height, [WHOLE], 1);
    await add(30, [UNFINISHED]);
    const dir = path.join(place, '30', '3');
    await expect(newest(place, 30)).rejects.toMatchObject({
      code: 'HEIGHT',
      exitCode: 5,
      path: dir,
      hint: `name one of the complete heights with --height: 20, 10; to read this one all the same, name its directory: ${dir}`,
    });
    expect(await newest(dir)).toMatchObject({ height: 30, notes: [] });
  });

  it('none is taken if all are unfinished', async () => {
    const { place, add } = await makeHome();
    await addToListing(place, []);
    await add(10, [UNFINISHED]);
    await expect(newest(place)).rejects.toMatchObject({
      code: 'NO_SNAPSHOT',
      exitCode: 5,
      hint: expect.stringMatching(/^wait until the node has finished one; /u) as unknown,
    });
  });

  it('one that lacks chunks is left to its reader if there is no other', async () => {
    const { place, add } = await makeHome();
    await add(10, [WHOLE], 2);
    expect(await newest(place)).toMatchObject({ height: 10, notes: [] });
  });

  it('the newest complete one is taken while the node lists, removes and compacts, and it loses nothing', async () => {
    const place = await tempDir();
    const chunk = path.join(await tempDir(), 'chunk');
    writeFileSync(chunk, WHOLE.subarray(0, 5000));
    const node = fork(NODE, [place, chunk]);
    onTestFinished(() => void node.kill('SIGKILL'));
    await once(node, 'message');
    const heights: number[] = [];
    for (let round = 0; round < 15; round += 1) {
      const { height, notes } = await newest(place);
      heights.push(height!);
      expect(notes.join()).not.toContain('cannot be read');
    }
    const told = once(node, 'message');
    node.send('stop');
    const [{ height, kept, heights: listed }] = (await told) as [
      { height: number; kept: number; heights: number[] },
    ];
    const count = Math.min(height, kept);
    expect(listed).toEqual(Array.from({ length: count }, (_, at) => height - count + 1 + at));
    expect(heights).toEqual([...heights].sort((a, b) => a - b));
    expect(new Set(heights).size).toBeGreaterThan(1);
    expect((await newest(place)).height).toBe(height);
  });
});

describe('without a listing', () => {
  it('the newest is taken that has all chunks and an end', async () => {
    const { place, add } = await makeHome();
    await add(10, [WHOLE]);
    await add(20, [UNFINISHED, WHOLE.subarray(1_000_000, -3), WHOLE.subarray(-3)]);
    await add(30, [UNFINISHED]);
    await add(40, [WHOLE, WHOLE, WHOLE]);
    rmSync(path.join(place, '40', '3', '0'));
    expect(await newest(place)).toEqual({
      height: 20,
      path: path.join(place, '20', '3'),
      notes: [
        'passed over 40/3 (chunk 0 is missing), 30/3 (no chunk is missing before the last; the end of its stream cannot be seen)',
        'took 20/3 (no chunk is missing, and its stream has an end)',
      ],
    });
  });

  it('the end may be written twice, as before SDK 0.47', async () => {
    const { place, add } = await makeHome();
    const adler = WHOLE.subarray(-4);
    await add(10, [WHOLE]);
    await add(20, [Buffer.concat([WHOLE, adler])]);
    await add(30, [Buffer.concat([WHOLE, Buffer.from('010000ffff', 'hex'), adler])]);
    expect(await newest(place)).toMatchObject({ height: 30, notes: [] });
    expect(await newest(place, 20)).toMatchObject({ height: 20, notes: [] });
    rmSync(path.join(place, '30'), { recursive: true });
    expect(await newest(place)).toMatchObject({ height: 20, notes: [] });
  });

  it('the newest without a gap is taken if no end is seen, since other software may end a stream otherwise', async () => {
    const { place, add } = await makeHome();
    await add(10, [UNFINISHED]);
    await add(20, [UNFINISHED]);
    expect(await newest(place)).toMatchObject({ height: 20, notes: [] });
  });

  const faults: Record<
    string,
    { readonly why: RegExp; readonly spoil: (listing: string) => unknown }
  > = {
    'has no CURRENT': {
      why: /not a database of LevelDB: none$/u,
      spoil: (listing) => {
        rmSync(path.join(listing, 'CURRENT'));
      },
    },
    'is of another backend': {
      why: /not a database of LevelDB: OPTIONS-000005$/u,
      spoil: (listing) => {
        writeFileSync(path.join(listing, 'OPTIONS-000005'), '');
      },
    },
    'lacks its manifest': {
      why: /is damaged: MANIFEST-999999: nothing$/u,
      spoil: (listing) => {
        writeFileSync(path.join(listing, 'CURRENT'), 'MANIFEST-999999\n');
      },
    },
    'names tables that are gone': {
      why: /is damaged: .*missing files/u,
      spoil: async (listing) => {
        // Opened a second time, it moves the log of the first into a table.
        await addToListing(path.dirname(listing), []);
        execFileSync('sh', ['-c', 'rm "$1"/*.ldb', 'sh', listing]);
      },
    },
    'has a pipe for a table': {
      why: /is damaged: 000099\.ldb: a link, a pipe or the like$/u,
      spoil: (listing) => {
        execFileSync('mkfifo', [path.join(listing, '000099.ldb')]);
      },
    },
    'has a link for a log': {
      why: /is damaged: 000099\.log: a link, a pipe or the like$/u,
      spoil: (listing) => {
        symlinkSync('/etc/passwd', path.join(listing, '000099.log'));
      },
    },
    'is huge': {
      why: /larger than any of its kind: more than 67108864 bytes$/u,
      spoil: (listing) => {
        writeFileSync(path.join(listing, '000099.log'), '');
        truncateSync(path.join(listing, '000099.log'), 2 ** 40);
      },
    },
    'is a file': {
      why: /ENOTDIR$/u,
      spoil: (listing) => {
        rmSync(listing, { recursive: true });
        writeFileSync(listing, '');
      },
    },
    'is a link to nothing': {
      why: /is a link to nothing/u,
      spoil: (listing) => {
        rmSync(listing, { recursive: true });
        symlinkSync('nothing', listing);
      },
    },
    'has an entry that is no snapshot': {
      why: /a message holds an invalid field/u,
      spoil: async (listing) => addToListing(path.dirname(listing), [[listingKey(7, 3), WHOLE]]),
    },
    'has an entry under the key of another': {
      why: /another snapshot than its key names/u,
      spoil: async (listing) =>
        addToListing(path.dirname(listing), [[listingKey(7, 3), describeSnapshot(8, 3, [WHOLE])]]),
    },
  };
  it.each(Object.entries(faults))(
    'which %s, the newest is taken that has an end',
    async (_, { why, spoil }) => {
      const { place, add } = await makeHome();
      await add(10, [WHOLE], 1);
      await add(20, [WHOLE], 1);
      await add(30, [UNFINISHED]);
      const listing = path.join(place, 'metadata.db');
      await spoil(listing);
      const { height, notes } = await newest(place);
      expect(height).toBe(20);
      const [unread, ...others] = notes;
      expect(unread).toContain(`${listing} cannot be read: `);
      expect(unread).toMatch(why);
      expect(others).toEqual([
        'passed over 30/3 (no chunk is missing before the last; the end of its stream cannot be seen)',
        'took 20/3 (no chunk is missing, and its stream has an end)',
      ]);
    },
  );

  it('which has entries of other kinds, those of snapshots count', async () => {
    const { place, add } = await makeHome();
    await add(10, [WHOLE], 1);
    await add(20, [UNFINISHED]);
    await addToListing(place, [[Buffer.from('other'), Buffer.from('entry')]]);
    expect(await newest(place)).toMatchObject({ height: 10 });
  });
});
