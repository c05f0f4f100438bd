/**
 * Run by a Node with built-in zstd (see pieces.test.ts): every codec unpacks what every codec packed piece by piece.
 * Prints the names of the codecs as JSON, or fails.
 */
import assert from 'node:assert/strict';
import { availableCodecs } from './available-codecs.ts';
import { packed, unpacked } from './pieces.ts';
import { noise, repetitive, textLike } from './samples.ts';

const MIB = 1024 * 1024;
const codecs = await availableCodecs();
const far = noise(3 * MIB);
const samples = [
  new Uint8Array(0),
  textLike(256 * 1024),
  noise(MIB),
  Buffer.concat([far, noise(MIB), repetitive(3 * MIB), far]),
];

for (const writer of codecs) {
  if (writer.packPieces === undefined) continue;
  for (const raw of samples) {
    for (const windowLog of [22, 24, 27]) {
      const frame = await packed(writer, raw, { level: 1, windowLog }, 100_000);
      for (const reader of codecs) {
        if (reader.maxWindowLog < windowLog) continue;
        const content = await unpacked(reader, frame, 65_537, raw.length);
        assert(Buffer.compare(content, raw) === 0, `${reader.name} on ${writer.name}`);
      }
    }
  }
}
console.log(JSON.stringify(codecs.map(({ name }) => name)));
