/**
 * The chunk files of several heights, each once, in a scratch database: heights share chunks by links, and a place may
 * have millions of names.
 */
import { createHash } from 'node:crypto';
import { openScratchDatabase } from '../../io/files/scratch.ts';
import type { Database, Statement } from '../../io/sqlite.ts';
import type { StoredFileFacts } from '../../storage/contract.ts';

/** A file, by any of its names. */
export interface PlaceFile {
  readonly id: number;
  /** The SHA-256 that it must have. */
  readonly chunk: string;
  /** In bytes. */
  readonly size: number;
}

export interface FileCount {
  readonly count: number;
  /** Bytes. */
  readonly size: number;
}

/** Heights with a chunk of the same name may have files of their own. */
function keyOf(chunk: string, { id }: StoredFileFacts): string {
  return `${chunk} ${id}`;
}

/** Rows that are read at once: an open cursor would block the connection. */
const PAGE = 256;

export class PlaceFiles {
  readonly #db: Database;
  readonly #add: Statement;
  readonly #find: Statement;
  readonly #use: Statement;

  constructor(scratchDir: string) {
    this.#db = openScratchDatabase(scratchDir);
    this.#db.exec(`
      CREATE TABLE files (
        id INTEGER PRIMARY KEY, key TEXT UNIQUE, chunk TEXT, size INTEGER, signature TEXT, rank TEXT,
        isDone INTEGER DEFAULT 0
      );
      CREATE TABLE uses (file INTEGER, height INTEGER, PRIMARY KEY (file, height)) WITHOUT ROWID;
    `);
    this.#add = this.#db.prepare(
      'INSERT OR IGNORE INTO files (key, chunk, size, signature) VALUES (?, ?, ?, ?)',
    );
    this.#find = this.#db.prepare('SELECT id, signature FROM files WHERE key = ?');
    this.#use = this.#db.prepare('INSERT INTO uses VALUES (?, ?)');
  }

  /**
   * Adds a chunk of a height.
   * @param signature of its entries, as the list of that height names them
   * @returns whether all heights so far name the same entries
   */
  add(height: number, chunk: string, facts: StoredFileFacts, signature: string): boolean {
    const key = keyOf(chunk, facts);
    this.#add.run(key, chunk, facts.size, signature);
    const found = this.#find.get(key) as { id: number; signature: string };
    this.#use.run(found.id, height);
    return found.signature === signature;
  }

  /** Takes all files of a height as read. */
  done(height: number): void {
    this.#db
      .prepare('UPDATE files SET isDone = 1 WHERE id IN (SELECT file FROM uses WHERE height = ?)')
      .run(height);
  }

  /** The heights that use a file, the highest first. */
  heightsOf({ id }: PlaceFile): number[] {
    return this.#db
      .prepare('SELECT height FROM uses WHERE file = ? ORDER BY height DESC')
      .pluck()
      .all(id) as number[];
  }

  /** All files. */
  total(): FileCount {
    return this.#db
      .prepare('SELECT count(*) AS count, coalesce(sum(size), 0) AS size FROM files')
      .get() as FileCount;
  }

  /** Files that are not done. */
  left(): FileCount {
    return this.#db
      .prepare(
        'SELECT count(*) AS count, coalesce(sum(size), 0) AS size FROM files WHERE NOT isDone',
      )
      .get() as FileCount;
  }

  /**
   * Keeps a random sample of the files, and takes all others as done. The same seed takes the same of the same files.
   * @param share of the bytes, at most 1
   */
  sample(share: number, seed: string): void {
    const rank = this.#db.prepare('UPDATE files SET rank = ?, isDone = 1 WHERE id = ?');
    for (const { id, chunk } of this.#pages('SELECT id, chunk, size FROM files WHERE id > ?')) {
      rank.run(createHash('sha256').update(`${seed} ${chunk}`).digest('hex'), id);
    }
    let wanted = this.total().size * share;
    const take = this.#db.prepare('UPDATE files SET isDone = 0 WHERE id = ?');
    this.#db.exec('CREATE INDEX files_by_rank ON files (rank, id)');
    const next = this.#db.prepare(
      'SELECT id, size, rank FROM files WHERE (rank, id) > (?, ?) ORDER BY rank, id LIMIT 1',
    );
    for (let at: { id: number; rank: string } = { id: 0, rank: '' }; wanted > 0;) {
      const file = next.get(at.rank, at.id) as
        { id: number; size: number; rank: string } | undefined;
      if (file === undefined) return;
      take.run(file.id);
      wanted -= file.size;
      at = file;
    }
  }

  /** Files that are not done, in the order in which they were added. */
  async *pending(): AsyncGenerator<PlaceFile> {
    yield* this.#pages('SELECT id, chunk, size FROM files WHERE NOT isDone AND id > ?');
  }

  /** Takes a file as read. */
  doneWith({ id }: PlaceFile): void {
    this.#db.prepare('UPDATE files SET isDone = 1 WHERE id = ?').run(id);
  }

  /** The file of a chunk, if it is not done. */
  pendingOf(chunk: string, facts: StoredFileFacts): PlaceFile | undefined {
    return this.#db
      .prepare('SELECT id, chunk, size FROM files WHERE key = ? AND NOT isDone')
      .get(keyOf(chunk, facts)) as PlaceFile | undefined;
  }

  *#pages(query: string): Generator<PlaceFile> {
    const page = this.#db.prepare(`${query} ORDER BY id LIMIT ${PAGE}`);
    for (let after = 0; ;) {
      const rows = page.all(after) as PlaceFile[];
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined) return;
      after = last.id;
    }
  }

  close(): void {
    this.#db.close();
  }
}
