/** A thread of the floor: does one task after the other, and asks `floor.js` for the next. */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { gzipSync } from 'node:zlib';
import { loadZstdCodec } from '../../../dist/io/zstd/load-codec.js';
import { keyBlocks, pinned, readersOf } from './content.js';

const WINDOW_LOG = 27;
const LEVEL = 1;
/** Before each part of a frame: its name and size. */
const HEADER_BYTES = 512;

const { operation, from, to } = workerData;
const codec = await loadZstdCodec();
const hashed = (data) => createHash('sha256').update(data).digest();
let opened;
const store = () => {
  opened ??= pinned(from);
  return opened;
};

/** The parts of a task, one after the other: each is read when it is asked for. */
function* partsOf({ kind, parts }) {
  if (operation === 'retrieve-dir') {
    for (const { name } of parts) yield { name, data: readFileSync(join(from, name)) };
  } else if (kind === 'keys') {
    let number = 0;
    for (const data of keyBlocks(store())) yield { name: `keys.${number++}`, data };
  } else {
    const read = readersOf(store())[kind];
    for (const part of parts) yield { name: part.name, data: read(part) };
  }
}

async function* framed(task) {
  for (const { name, data } of partsOf(task)) {
    const header = Buffer.alloc(HEADER_BYTES);
    header.write(`${name}\n${data.length}\n`);
    hashed(data);
    yield header;
    yield data;
  }
}

async function pack(task) {
  const hash = createHash('sha256');
  const fd = openSync(join(to, `${task.name}.zst`), 'w');
  const options = { level: LEVEL, windowLog: WINDOW_LOG };
  for await (const piece of codec.packPieces(framed(task), options)) {
    hash.update(piece);
    writeSync(fd, piece);
  }
  hash.digest();
  fsyncSync(fd);
  closeSync(fd);
}

function exportParts(task) {
  if (task.kind === 'keys') {
    const fd = openSync(join(to, 'export-data.jsonl'), 'w');
    for (const { data } of partsOf(task)) {
      hashed(data);
      writeSync(fd, data);
    }
    fsyncSync(fd);
    closeSync(fd);
    return;
  }
  for (const { name, data } of partsOf(task)) {
    hashed(data);
    const fd = openSync(join(to, name), 'w');
    writeFileSync(fd, data);
    fsyncSync(fd);
    closeSync(fd);
  }
}

/** The parts of a file that `pack` wrote. */
async function* unpacked(name) {
  const file = readFileSync(join(from, name));
  hashed(file);
  const limits = { maxWindowLog: WINDOW_LOG, maxRawBytes: Number.MAX_SAFE_INTEGER };
  const whole = (async function* pieces() {
    yield file;
  })();
  let header = Buffer.alloc(0);
  let part;
  let filled = 0;
  for await (const piece of codec.unpackPieces(whole, limits)) {
    for (let at = 0; at < piece.length;) {
      if (part === undefined) {
        const taken = Math.min(HEADER_BYTES - header.length, piece.length - at);
        header = Buffer.concat([header, piece.subarray(at, at + taken)]);
        at += taken;
        if (header.length < HEADER_BYTES) break;
        const [partName, size] = header.toString('utf8').split('\n');
        part = { name: partName, data: Buffer.allocUnsafeSlow(Number(size)) };
        header = Buffer.alloc(0);
        filled = 0;
      }
      const taken = Math.min(part.data.length - filled, piece.length - at);
      part.data.set(piece.subarray(at, at + taken), filled);
      filled += taken;
      at += taken;
      if (filled === part.data.length) {
        yield part;
        part = undefined;
      }
    }
  }
}

async function restore(task) {
  for await (const { name, data } of unpacked(task.name)) {
    hashed(data);
    // A copy, since zlib may give a view of a larger buffer.
    const row = /^snapshot\./u.test(name) ? Uint8Array.from(gzipSync(data, { level: 1 })) : data;
    parentPort.postMessage({ name, data: row }, [row.buffer]);
  }
}

async function work(task) {
  if (operation === 'export') exportParts(task);
  else if (operation === 'restore') await restore(task);
  else if (operation === 'verify') for await (const { data } of unpacked(task.name)) hashed(data);
  else await pack(task);
}

parentPort.on('message', async (task) => {
  if (task === null) {
    parentPort.close();
    return;
  }
  await work(task);
  parentPort.postMessage({});
});
parentPort.postMessage({});
