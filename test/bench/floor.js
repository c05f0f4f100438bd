/**
 * The floor of a command: the same bytes moved, hashed and compressed as swingsnap does, with nothing else around. It
 * checks nothing, proves nothing, and what it writes has no manifest: it says what this machine can do, and is no way to do
 * it. Every thread has its own connection, reads what it packs, and hands nothing over.
 *
 * `node floor.js OPERATION FROM [TO] [--threads 2] [--history]`, where the operation is
 *
 * - `export`: a state dir to an export directory
 * - `retrieve`: a state dir to a snapshot
 * - `retrieve-dir`: an export directory to a snapshot
 * - `verify`: a snapshot that this program wrote
 * - `restore`: such a snapshot to a database
 *
 * `--history` takes all transcript spans of a store, not only the current ones.
 */
import { once } from 'node:events';
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { openDatabase } from '../../dist/io/sqlite.js';
import { pinned } from './floor/content.js';

const MB = 1 << 20;
/** Heap snapshots in one frame. */
const GROUP = 8;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: 'string', default: '2' },
    history: { type: 'boolean', default: false },
  },
});
const [operation, from, to] = positionals;

const total = (parts) => parts.reduce((sum, { size }) => sum + size, 0);

/** Parts in groups of so many, as tasks of one thread each. */
const inGroups = (kind, parts, count) =>
  Array.from({ length: Math.ceil(parts.length / count) }, (_, i) => {
    const group = parts.slice(i * count, (i + 1) * count);
    return { kind, name: `${kind}-${i}`, parts: group, size: total(group) };
  });

function tasksOfDirectory() {
  const files = readdirSync(from)
    .map((name) => ({ name, size: statSync(join(from, name)).size }))
    .sort((a, b) => b.size - a.size);
  const isHeap = ({ name, size }) => name.startsWith('snapshot.') && size > MB;
  const others = files.filter((file) => !isHeap(file));
  return [
    ...inGroups('heap', files.filter(isHeap), GROUP),
    ...inGroups('other', others, others.length),
  ];
}

function tasksOfStore() {
  const db = pinned(from);
  const heaps = db
    .prepare(
      `SELECT 'snapshot.' || vatID || '.' || snapPos AS name, vatID, snapPos, uncompressedSize AS size
       FROM snapshots WHERE inUse = 1 ORDER BY size DESC`,
    )
    .all();
  const bundles = db
    .prepare(`SELECT 'bundle.' || bundleID AS name, bundleID, length(bundle) AS size FROM bundles`)
    .all();
  const spans = db
    .prepare(
      `SELECT 'transcript.' || vatID || '.' || startPos || '.' || endPos AS name, vatID, startPos, endPos, 4096 AS size
       FROM transcriptSpans ${values.history ? '' : 'WHERE isCurrent = 1'}`,
    )
    .all();
  db.close();
  const count = operation === 'export' ? 1 : GROUP;
  return [
    ...inGroups('heap', heaps, count),
    ...inGroups('bundle', bundles, operation === 'export' ? 1 : bundles.length),
    ...inGroups('span', spans, operation === 'export' ? 1 : spans.length),
    // Its size is not known, and it should begin early.
    { kind: 'keys', name: 'keys', parts: [], size: 30 * MB },
  ];
}

function tasks() {
  if (operation === 'retrieve-dir') return tasksOfDirectory();
  if (operation === 'export' || operation === 'retrieve') return tasksOfStore();
  return readdirSync(from).map((name) => ({ name, size: statSync(join(from, name)).size }));
}

/** Takes what the threads of a restore make. */
function openStore() {
  const path = join(to, 'swingstore.sqlite');
  const db = openDatabase(path);
  db.pragma('journal_mode = off');
  db.pragma('synchronous = off');
  db.exec(`CREATE TABLE kvStore (key TEXT PRIMARY KEY, value TEXT);
    CREATE TABLE rows (name TEXT PRIMARY KEY, data BLOB); BEGIN`);
  const addKey = db.prepare('INSERT OR REPLACE INTO kvStore VALUES (?, ?)');
  const addRow = db.prepare('INSERT INTO rows VALUES (?, ?)');
  return {
    add(name, data) {
      if (!/^keys|^export-data/u.test(name)) {
        addRow.run(name, data);
        return;
      }
      for (const line of Buffer.from(data).toString('utf8').split('\n')) {
        if (line !== '') addKey.run(...JSON.parse(line));
      }
    },
    close() {
      db.exec('COMMIT');
      db.close();
      const fd = openSync(path, 'r+');
      fsyncSync(fd);
      closeSync(fd);
    },
  };
}

if (to !== undefined) {
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
}
const queue = tasks().sort((a, b) => b.size - a.size);
const store = operation === 'restore' ? openStore() : undefined;
const threads = Array.from({ length: Number(values.threads) }, () => {
  const thread = new Worker(new URL('floor/thread.js', import.meta.url), {
    workerData: { operation, from, to },
  });
  thread.on('message', ({ name, data }) => {
    if (name === undefined) thread.postMessage(queue.shift() ?? null);
    else store.add(name, data);
  });
  return once(thread, 'exit');
});
await Promise.all(threads);
store?.close();
