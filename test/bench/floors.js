/**
 * Measures what the machine can do: each kind of work that our commands do, alone on one thread, and zstd on two
 * threads at once. `node floors.js STATE_DIR EXPORT_DIR SCRATCH_DIR` prints MB/s as JSON. The content is that of the
 * store, from memory, unless a disk is measured.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { gunzipSync, gzipSync } from 'node:zlib';
import { kvLines } from '../../dist/formats/swing-store/read/kv/kv-lines.js';
import { openDatabase } from '../../dist/io/sqlite.js';
import { loadZstdCodec } from '../../dist/io/zstd/load-codec.js';
import { checkKVBlock } from '../../dist/swing-store-export/export-data/canonical-blocks.js';

const MIB = 1024 * 1024;
const SAMPLE_BYTES = 64 * MIB;

/** MB/s, the best of three. */
function rate(bytes, work) {
  const times = [1, 2, 3].map(() => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return bytes / 1e3 / Math.min(...times);
}

function compressAll({ compress }, pieces) {
  for (const piece of pieces) compress(piece, 3);
}

if (!isMainThread) {
  const codec = await loadZstdCodec();
  parentPort.once('message', () => {
    for (let round = 0; round < 3; round += 1) compressAll(codec, workerData);
    parentPort.postMessage('done');
  });
  parentPort.postMessage('ready');
} else {
  const [stateDir, exportDir, scratchDir] = process.argv.slice(2);
  const file = openSync(join(exportDir, 'export-data.jsonl'), 'r');
  const sample = Buffer.alloc(SAMPLE_BYTES);
  const text = sample.subarray(0, readSync(file, sample, 0, SAMPLE_BYTES));
  closeSync(file);
  const pieces = [];
  for (let at = 0; at < text.length;) {
    const end = text.lastIndexOf(0x0a, at + MIB - 1) + 1;
    pieces.push(text.subarray(at, end > at ? end : text.length));
    at = end > at ? end : text.length;
  }
  const heaps = readdirSync(exportDir)
    .filter((name) => name.startsWith('snapshot.'))
    .slice(0, 20)
    .map((name) => readFileSync(join(exportDir, name)));
  const heapBytes = heaps.reduce((sum, { length }) => sum + length, 0);
  const gzipped = heaps.map((heap) => gzipSync(heap, { level: 6 }));
  const codec = await loadZstdCodec();

  const rates = {};
  rates['SHA-256'] = rate(text.length, () => createHash('sha256').update(text).digest());
  rates['zstd level 3, export data'] = rate(text.length, () => compressAll(codec, pieces));
  rates['zstd level 3, heap snapshots'] = rate(heapBytes, () => compressAll(codec, heaps));
  const kvOnly = pieces.filter((piece) => piece.subarray(0, 5).toString() === '["kv.');
  const kvBytes = kvOnly.reduce((sum, { length }) => sum + length, 0);
  rates['order and text of export data'] = rate(kvBytes, () => kvOnly.forEach(checkKVBlock));
  rates['gunzip of heap snapshots'] = rate(heapBytes, () =>
    gzipped.forEach((blob) => gunzipSync(blob, { chunkSize: MIB })),
  );
  rates['gzip level 1 of heap snapshots'] = rate(heapBytes, () =>
    heaps.forEach((heap) => gzipSync(heap, { level: 1, memLevel: 9, chunkSize: MIB })),
  );
  const db = openDatabase(join(stateDir, 'swingstore.sqlite'), { readonly: true });
  let lineBytes = 0;
  const lines = rate(1, () => {
    lineBytes = 0;
    for (const block of kvLines(db)) lineBytes += block.length;
  });
  rates['keys of a SwingStore as lines'] = lines * lineBytes;
  db.close();
  const out = join(scratchDir, 'floor');
  rates['writing a file to the disk'] = rate(4 * text.length, () => {
    const fd = openSync(out, 'w');
    for (let round = 0; round < 4; round += 1) writeSync(fd, text);
    fsyncSync(fd);
    closeSync(fd);
  });
  rmSync(out);

  const threads = [1, 2].map(() => new Worker(new URL(import.meta.url), { workerData: heaps }));
  await Promise.all(threads.map((thread) => once(thread, 'message')));
  const start = performance.now();
  const ends = threads.map((thread) => once(thread, 'message'));
  for (const thread of threads) thread.postMessage('go');
  await Promise.all(ends);
  const both = (2 * 3 * heapBytes) / 1e3 / (performance.now() - start);
  const twoThreads = both / rates['zstd level 3, heap snapshots'];
  process.stdout.write(JSON.stringify({ rates, twoThreads }));
}
