/** The contract of every storage, as documented in `src/storage/contract.ts`. */
import { describe, expect, it } from 'vitest';
import { NotFoundError, SwingSnapError, VerificationError } from '../../src/errors.ts';
import { follow, type Recipe } from '../../src/io/threads/recipe.ts';
import type {
  Pieces,
  PlaceContent,
  SnapshotPlace,
  SnapshotStorage,
  StoredSnapshot,
} from '../../src/storage/contract.ts';

export interface StorageUnderTest {
  readonly storage: SnapshotPlace;
  /** Paths of everything in it, in any form: equal before and after an operation that leaves nothing behind. */
  readonly leftovers: () => Promise<readonly string[]>;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);

async function readStream(snapshot: StoredSnapshot, file: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of snapshot.stream(file)) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function put(storage: SnapshotStorage, name: string, text: string): Promise<void> {
  const staged = await storage.stage(name);
  await staged.put('manifest.json', bytes(text));
  await staged.publish(false);
}

/** @param make a new, empty storage */
export function storageContract(make: () => Promise<StorageUnderTest>): void {
  describe('storage contract', () => {
    it('lists nothing if nothing was ever staged', async () => {
      const { storage } = await make();
      expect(await storage.list()).toEqual([]);
    });

    it('returns the bytes that were put and created, whole and in pieces', async () => {
      const { storage } = await make();
      const staged = await storage.stage('12');
      const large = Buffer.alloc(2_500_000, 'large ');
      await staged.put('chunks/a', large);
      await staged.put('empty', bytes(''));
      const file = await staged.create('entries');
      await file.write(bytes('one '));
      await file.write(bytes('two'));
      await file.close();
      await staged.publish(false);
      const stored = await storage.open('12');
      expect(stored.name).toBe('12');
      expect(Buffer.from(await stored.read('chunks/a', large.length)).equals(large)).toBe(true);
      expect((await readStream(stored, 'chunks/a')).equals(large)).toBe(true);
      expect(Buffer.from(await stored.read('entries', 100)).toString()).toBe('one two');
      expect(await stored.read('empty', 0)).toHaveLength(0);
      expect(await readStream(stored, 'empty')).toHaveLength(0);
    });

    it('does not write a file twice', async () => {
      const { storage } = await make();
      const staged = await storage.stage('12');
      await staged.put('a', bytes('first'));
      const code = 'FILE_EXISTS';
      await expect(staged.put('a', bytes('second'))).rejects.toMatchObject({ code });
      await expect(staged.create('a')).rejects.toMatchObject({ code });
      await staged.publish(false);
      const stored = await storage.open('12');
      expect(Buffer.from(await stored.read('a', 9)).toString()).toBe('first');
    });

    it('adopts a file of another snapshot, which stays when the other snapshot is removed', async () => {
      const { storage } = await make();
      await put(storage, '11', 'shared');
      const from = await storage.open('11');
      const staged = await storage.stage('12');
      const shown: string[] = [];
      const accept = async (file: Recipe<Pieces>): Promise<boolean> => {
        shown.push(await textOf(file));
        return true;
      };
      expect(await staged.adopt('manifest.json', from, 10, accept)).toBe(6);
      expect(shown).toEqual(['shared']);
      await expect(staged.put('manifest.json', bytes('other'))).rejects.toMatchObject({
        code: 'FILE_EXISTS',
      });
      await staged.publish(false);
      await storage.remove('11');
      const stored = await storage.open('12');
      expect(Buffer.from(await stored.read('manifest.json', 10)).toString()).toBe('shared');
    });

    it('does not adopt a file that is not accepted, too large or missing, and can then put it', async () => {
      const { storage } = await make();
      await put(storage, '11', 'wrong');
      const from = await storage.open('11');
      const staged = await storage.stage('12');
      expect(await staged.adopt('manifest.json', from, 10, async () => false)).toBeUndefined();
      expect(await staged.adopt('manifest.json', from, 4, undefined)).toBeUndefined();
      expect(await staged.adopt('other', from, 10, undefined)).toBeUndefined();
      await staged.put('manifest.json', bytes('right'));
      await expect(staged.adopt('manifest.json', from, 10, undefined)).rejects.toMatchObject({
        code: 'FILE_EXISTS',
      });
      await staged.publish(false);
      const read = async (name: string): Promise<string> =>
        Buffer.from(await (await storage.open(name)).read('manifest.json', 10)).toString();
      expect(await read('12')).toBe('right');
      expect(await read('11')).toBe('wrong');
    });

    it('tells what is known of a file that was added, and keeps the time that it is given', async () => {
      const { storage } = await make();
      const staged = await storage.stage('12');
      await staged.put('a', bytes('four'), new Date(5000));
      expect(await staged.facts('a')).toMatchObject({ size: 4, modified: new Date(5000) });
      await expect(staged.facts('b')).rejects.toMatchObject({ code: 'FILE_MISSING' });
      await staged.publish(false);
      expect((await (await storage.open('12')).facts('a')).modified).toEqual(new Date(5000));
    });

    it('has nothing to salvage of snapshots that were published or discarded', async () => {
      const { storage, leftovers } = await make();
      await put(storage, '11', 'published');
      const staged = await storage.stage('12');
      await staged.put('a', bytes('a'));
      await staged.discard();
      const before = await leftovers();
      const salvage = await storage.salvage();
      expect(salvage.snapshots).toEqual([]);
      await salvage.discard();
      expect(await leftovers()).toEqual(before);
    });

    it('removes a file that was put or adopted, and not the one that it was adopted from', async () => {
      const { storage } = await make();
      await put(storage, '11', 'shared');
      const staged = await storage.stage('12');
      await staged.put('a', bytes('first'));
      await staged.adopt('manifest.json', await storage.open('11'), 10, undefined);
      await staged.remove('a');
      await staged.remove('manifest.json');
      await staged.put('a', bytes('second'));
      await staged.publish(false);
      const stored = await storage.open('12');
      expect(Buffer.from(await stored.read('a', 9)).toString()).toBe('second');
      await expect(stored.read('manifest.json', 9)).rejects.toThrow(NotFoundError);
      const other = await storage.open('11');
      expect(Buffer.from(await other.read('manifest.json', 9)).toString()).toBe('shared');
    });

    it('is not affected when the caller changes its bytes later', async () => {
      const { storage } = await make();
      const staged = await storage.stage('12');
      const mine = Buffer.from('before');
      await staged.put('a', mine);
      const file = await staged.create('b');
      await file.write(mine);
      mine.write('after!');
      await file.close();
      await staged.publish(false);
      const stored = await storage.open('12');
      expect(Buffer.from(await stored.read('a', 10)).toString()).toBe('before');
      expect(Buffer.from(await stored.read('b', 10)).toString()).toBe('before');
    });

    it('yields pieces that do not change while the next ones are read', async () => {
      const { storage } = await make();
      const staged = await storage.stage('12');
      const large = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7) % 251));
      await staged.put('a', large);
      await staged.publish(false);
      expect((await readStream(await storage.open('12'), 'a')).equals(large)).toBe(true);
    });

    it('shows nothing of a snapshot before it is published', async () => {
      const { storage } = await make();
      const staged = await storage.stage('12');
      await staged.put('manifest.json', bytes('x'));
      expect(await storage.list()).toEqual([]);
      await expect(storage.open('12')).rejects.toThrow(NotFoundError);
      await staged.publish(false);
      expect(await storage.list()).toEqual(['12']);
    });

    it('reports a missing snapshot or file', async () => {
      const { storage } = await make();
      await expect(storage.open('12')).rejects.toMatchObject({ code: 'SNAPSHOT_MISSING' });
      await put(storage, '12', 'x');
      const stored = await storage.open('12');
      for (const file of ['no', 'chunks/no', 'manifest.json/no']) {
        await expect(stored.read(file, 10)).rejects.toThrow(NotFoundError);
        await expect(readStream(stored, file)).rejects.toMatchObject({ code: 'FILE_MISSING' });
      }
    });

    it('refuses to read a file that is larger than the reader accepts', async () => {
      const { storage } = await make();
      await put(storage, '12', 'eleven byte');
      const stored = await storage.open('12');
      await expect(stored.read('manifest.json', 10)).rejects.toThrow(VerificationError);
      await expect(stored.read('manifest.json', 10)).rejects.toMatchObject({
        code: 'FILE_TOO_LARGE',
      });
      expect(await stored.read('manifest.json', 11)).toHaveLength(11);
    });

    it('gives a recipe, if any, that reads what read reads, with the same errors', async () => {
      const { storage } = await make();
      await put(storage, '12', 'eleven byte');
      const stored = await storage.open('12');
      const read = async (file: string, maxBytes: number): Promise<string | undefined> => {
        const recipe = stored.recipe?.(file, maxBytes);
        // A recipe is plain data: another thread gets a clone.
        return recipe && textOf(structuredClone(recipe));
      };
      if (stored.recipe === undefined) return;
      expect(await read('manifest.json', 11)).toBe('eleven byte');
      await expect(read('manifest.json', 10)).rejects.toMatchObject({ code: 'FILE_TOO_LARGE' });
      await expect(read('no such', 10)).rejects.toMatchObject({ code: 'FILE_MISSING' });
    });

    it('gives spots, if any, that another thread writes and that get their names later', async () => {
      const { storage, leftovers } = await make();
      const staged = await storage.stage('12');
      const [one, other, third] = [staged.spot?.(), staged.spot?.(), staged.spot?.()];
      if (one === undefined || other === undefined || third === undefined) return;
      for (const [spot, text] of [
        [one, 'one'],
        [other, 'other'],
        [third, 'third'],
      ] as const) {
        // A recipe is plain data: another thread gets a clone.
        const file = await follow(structuredClone(spot.writer));
        await file.write(bytes(text));
        await file.write(bytes('!'));
        await file.close();
      }
      await staged.put('taken', bytes('put'));
      await one.name('chunks/a');
      await expect(other.name('chunks/a')).rejects.toMatchObject({ code: 'FILE_EXISTS' });
      await expect(other.name('taken')).rejects.toMatchObject({ code: 'FILE_EXISTS' });
      await expect(staged.put('chunks/a', bytes('put'))).rejects.toMatchObject({
        code: 'FILE_EXISTS',
      });
      await other.name('b');
      await third.remove();
      await third.remove();
      await staged.publish(false);
      const stored = await storage.open('12');
      for (const [name, text] of [
        ['chunks/a', 'one!'],
        ['b', 'other!'],
        ['taken', 'put'],
      ] as const) {
        expect(Buffer.from(await stored.read(name, 10)).toString()).toBe(text);
      }
      const published = (await leftovers()).filter((path) => path.includes('12/'));
      expect(published.map((path) => path.slice(path.indexOf('12/') + 3)).sort()).toEqual([
        ...['b', 'chunks', 'chunks/a', 'taken'],
      ]);
    });

    it('leaves nothing of spots that were discarded, named or not', async () => {
      const { storage, leftovers } = await make();
      await put(storage, '11', 'x');
      const before = await leftovers();
      const staged = await storage.stage('12');
      for (const isNamed of [true, false]) {
        const spot = staged.spot?.();
        if (spot === undefined) break;
        const file = await follow(spot.writer);
        await file.write(bytes('half'));
        await file.close();
        if (isNamed) await spot.name('chunks/a');
      }
      await staged.discard();
      expect(await leftovers()).toEqual(before);
    });

    it('reports the size of a file, and an error for a missing one', async () => {
      const { storage } = await make();
      await put(storage, '12', 'eleven byte');
      const stored = await storage.open('12');
      expect(await stored.size('manifest.json')).toBe(11);
      await expect(stored.size('no such')).rejects.toMatchObject({ code: 'FILE_MISSING' });
    });

    it('tells what is known of a file without reading it', async () => {
      const { storage } = await make();
      const before = Date.now();
      await put(storage, '12', 'eleven byte');
      await put(storage, '13', 'eleven byte');
      const stored = await storage.open('12');
      const facts = await stored.facts('manifest.json');
      expect(facts).toMatchObject({ size: 11, links: 1 });
      // Clocks of file systems are behind by some milliseconds.
      expect(facts.modified.getTime()).toBeGreaterThan(before - 1000);
      expect(facts.modified.getTime()).toBeLessThan(Date.now() + 1000);
      expect((await (await storage.open('12')).facts('manifest.json')).id).toBe(facts.id);
      expect((await (await storage.open('13')).facts('manifest.json')).id).not.toBe(facts.id);
      await expect(stored.facts('no such')).rejects.toMatchObject({ code: 'FILE_MISSING' });
    });

    it('gives what is in it one by one, and of unfinished work what is known', async () => {
      const { storage } = await make();
      const contents = async (): Promise<PlaceContent[]> => {
        const found: PlaceContent[] = [];
        for await (const each of storage.contents()) found.push(each);
        return found;
      };
      expect(await contents()).toEqual([]);
      await put(storage, '12', 'x');
      await storage.writeMark(bytes('a mark'));
      const staged = await storage.stage('13');
      await staged.put('manifest.json', bytes('eleven byte'));
      const found = await contents();
      expect(found.filter(({ kind }) => kind !== 'unfinished')).toMatchObject([
        { name: '12', kind: 'snapshot' },
      ]);
      for (const { name, kind } of found) {
        if (kind !== 'unfinished') continue;
        const work = await storage.unfinished(name);
        expect(work).toMatchObject({ holder: 'process' });
        expect(work?.size).toBeGreaterThanOrEqual(11);
        // It is not taken from a process that lives.
        expect(await storage.removeUnfinished(name)).toBe(false);
      }
      expect(await storage.unfinished('12')).toBeUndefined();
      expect(await storage.removeUnfinished('12')).toBe(false);
      await staged.publish(false);
      expect((await contents()).map(({ name }) => name).sort()).toEqual(['12', '13']);
    });

    it('keeps an existing snapshot unless it may be replaced', async () => {
      const { storage } = await make();
      await put(storage, '12', 'old');
      const staged = await storage.stage('12');
      await staged.put('manifest.json', bytes('new'));
      await staged.put('more', bytes('more'));
      await expect(staged.publish(false)).rejects.toMatchObject({ code: 'SNAPSHOT_EXISTS' });
      const stored = await storage.open('12');
      expect(Buffer.from(await stored.read('manifest.json', 9)).toString()).toBe('old');
      await staged.discard();
      expect(await storage.list()).toEqual(['12']);
    });

    it('replaces all of an existing snapshot, and leaves nothing of the old one', async () => {
      const { storage, leftovers } = await make();
      const first = await storage.stage('12');
      await first.put('old', bytes('old'));
      await first.publish(false);
      const second = await storage.stage('12');
      await second.put('new', bytes('new'));
      await second.publish(true);
      const stored = await storage.open('12');
      expect(Buffer.from(await stored.read('new', 9)).toString()).toBe('new');
      await expect(stored.read('old', 9)).rejects.toThrow(NotFoundError);
      expect((await leftovers()).filter((path) => path.includes('old'))).toEqual([]);
    });

    it('leaves nothing of a discarded snapshot, whatever was being written', async () => {
      const { storage, leftovers } = await make();
      await put(storage, '11', 'x');
      const before = await leftovers();
      const staged = await storage.stage('12');
      await staged.put('chunks/a', bytes('a'));
      const file = await staged.create('entries');
      await file.write(bytes('half'));
      await staged.discard();
      expect(await leftovers()).toEqual(before);
      const untouched = await storage.stage('13');
      await untouched.discard();
      expect(await leftovers()).toEqual(before);
    });

    it('leaves nothing behind when its first snapshot is discarded', async () => {
      const { storage, leftovers } = await make();
      const before = await leftovers();
      const staged = await storage.stage('12');
      await staged.put('a', bytes('a'));
      await staged.discard();
      expect(await leftovers()).toEqual(before);
    });

    it('removes a snapshot at once and completely, and succeeds if it does not exist', async () => {
      const { storage, leftovers } = await make();
      await put(storage, '11', 'x');
      const before = await leftovers();
      await put(storage, '12', 'y');
      await storage.remove('12');
      expect(await storage.list()).toEqual(['11']);
      expect(await leftovers()).toEqual(before);
      await storage.remove('12');
      await storage.remove('no such');
      expect(await leftovers()).toEqual(before);
    });

    it('keeps snapshots of the same name apart while they are staged', async () => {
      const { storage } = await make();
      const one = await storage.stage('12');
      const two = await storage.stage('12');
      await one.put('a', bytes('one'));
      await two.put('a', bytes('two'));
      await two.publish(false);
      await one.discard();
      expect(Buffer.from(await (await storage.open('12')).read('a', 9)).toString()).toBe('two');
    });

    it('keeps a mark beside the snapshots, which is no content and no snapshot', async () => {
      const { storage } = await make();
      expect(await storage.readMark(100)).toBeUndefined();
      expect(await storage.occupancy()).not.toBe('occupied');
      await put(storage, '12', 'first');
      expect(await storage.occupancy()).toBe('occupied');
      await storage.writeMark(bytes('a mark'));
      await storage.writeMark(bytes('another'));
      expect(Buffer.from((await storage.readMark(7)) ?? []).toString()).toBe('another');
      await expect(storage.readMark(6)).rejects.toMatchObject({ code: 'FILE_TOO_LARGE' });
      expect(await storage.list()).toEqual(['12']);
      await storage.remove('12');
      expect(await storage.occupancy()).toBe('empty');
    });

    it('refuses a name that could escape from it or be hidden in it', async () => {
      const { storage, leftovers } = await make();
      await put(storage, '11', 'x');
      const before = await leftovers();
      for (const name of ['', '.', '..', '.12', '../12', '1/2', '/12', '1\\2', '1\0', '.11-abc']) {
        for (const use of [
          async () => storage.open(name),
          async () => storage.stage(name),
          async () => storage.remove(name),
        ]) {
          const found = use();
          await expect(found).rejects.toThrow(SwingSnapError);
          await expect(found).rejects.toMatchObject({ code: 'SNAPSHOT_NAME' });
        }
      }
      expect(await leftovers()).toEqual(before);
    });
  });
}

async function textOf(recipe: Recipe<Pieces>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of await follow(recipe)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}
