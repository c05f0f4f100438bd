/**
 * Run by a Node with built-in zstd (see load-codec.test.ts): every codec, including `node:zlib`, reads what every
 * codec wrote. Prints the names of the codecs as JSON, or fails.
 */

import assert from 'node:assert/strict';
import { inspectZstdFrames } from '../../../src/io/zstd/frame.ts';
import { loadZstdCodec } from '../../../src/io/zstd/load-codec.ts';
import { availableCodecs } from './available-codecs.ts';
import { streamedFrame, windowDescriptor, buildFrame } from './frames.ts';
import { rawSamples, repetitive } from './samples.ts';

const MIB = 1024 * 1024;
const codecs = await availableCodecs();

for (const writer of codecs) {
  for (const [what, raw] of Object.entries(rawSamples())) {
    const frame = writer.compress(raw, 3);
    assert.equal(inspectZstdFrames(frame).contentSize, raw.length);
    for (const reader of codecs) {
      const content = reader.decompress(frame, raw.length);
      assert(Buffer.compare(content, raw) === 0, `${reader.name} on ${what} of ${writer.name}`);
    }
  }
  inspectZstdFrames(writer.compress(repetitive(9 * MIB), writer.maxLevel));
}

const node = await loadZstdCodec('node:zlib');
const silent = streamedFrame([repetitive(3 * MIB)]);
const twice = Buffer.concat([silent, silent]);
assert.equal(node.decompress(twice, 6 * MIB).length, 6 * MIB);
assert.throws(() => node.decompress(twice, 6 * MIB - 1), { code: 'ZSTD_TOO_LARGE' });
assert.throws(() => node.decompress(silent.subarray(0, -1), 6 * MIB), { code: 'ZSTD_CORRUPT' });
const wide = buildFrame({ fields: [windowDescriptor(27)] });
assert.throws(() => node.decompress(wide, 6 * MIB), { code: 'ZSTD_WINDOW' });
const damaged = node.compress(repetitive(MIB), 3).fill(0xff, 20, 40);
assert.throws(() => node.decompress(damaged, MIB), { code: 'ZSTD_CORRUPT' });

const chosen = await loadZstdCodec();
console.log(JSON.stringify({ chosen: chosen.name, all: codecs.map(({ name }) => name) }));
