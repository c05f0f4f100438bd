/** The content of a store as the floor reads it: with the least that SQLite and zlib must do. */
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { openDatabase } from '../../../dist/io/sqlite.js';

const MB = 1 << 20;

/** A connection that sees one commit. */
export function pinned(stateDir) {
  const db = openDatabase(join(stateDir, 'swingstore.sqlite'), { readonly: true });
  db.exec('BEGIN');
  // The first read pins.
  db.prepare("SELECT value FROM kvStore WHERE key = 'host.height'").get();
  return db;
}

/** Reads what a task of `floor.js` names: by its kind, the content of one part. */
export function readersOf(db) {
  const heap = db
    .prepare('SELECT compressedSnapshot FROM snapshots WHERE vatID = ? AND snapPos = ?')
    .pluck();
  const bundle = db.prepare('SELECT bundle FROM bundles WHERE bundleID = ?').pluck();
  const items = db
    .prepare(
      'SELECT item FROM transcriptItems WHERE vatID = ? AND position >= ? AND position < ? ORDER BY position',
    )
    .pluck();
  return {
    heap: ({ vatID, snapPos }) => gunzipSync(heap.get(vatID, snapPos), { chunkSize: MB }),
    bundle: ({ bundleID }) => Buffer.from(bundle.get(bundleID)),
    span: ({ vatID, startPos, endPos }) =>
      Buffer.from(
        items
          .all(vatID, startPos, endPos)
          .map((item) => `${item}\n`)
          .join(''),
      ),
  };
}

/** The keys that an export has, as lines, in blocks of about a megabyte. */
export function* keyBlocks(db) {
  const keys = db.prepare(
    "SELECT key, value FROM kvStore WHERE key NOT LIKE 'local.%' AND key NOT LIKE 'host.%' ORDER BY key",
  );
  let text = '';
  for (const { key, value } of keys.iterate()) {
    text += `${JSON.stringify([`kv.${key}`, value])}\n`;
    if (text.length > MB) {
      yield Buffer.from(text);
      text = '';
    }
  }
  yield Buffer.from(text);
}
