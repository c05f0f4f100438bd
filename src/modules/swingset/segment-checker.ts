/** Checks that entries are the segments of export data that their names say, in whole lines, with no part missing. */
import { createHash, type Hash } from 'node:crypto';
import { damaged, MIN_CHUNK_BYTES } from '../../snapshot/layout.ts';
import type { EntryDigest } from '../../snapshot/module-contract.ts';
import { MAX_PARTS } from '../kit/group.ts';
import { segmentEntryName } from './layout.ts';

const NEWLINE = 0x0a;
/** Finds the hash in the name of a segment's part. */
const PART_NAME = /\/([0-9a-f]{64})\/\d{6}$/u;

/** Checks segments as they are read. */
export class SegmentChecker {
  readonly #location: string;
  #parts: { sha256: string; hash: Hash; next: number; size: number; last: Uint8Array } | undefined;

  /** @param location names the snapshot in errors */
  constructor(location: string) {
    this.#location = location;
  }

  /** @throws {VerificationError} `SNAPSHOT_DAMAGED` */
  next(entry: EntryDigest, data: Uint8Array): void {
    const parts = this.#parts;
    const whole = PART_NAME.exec(entry.name)?.[1];
    if (parts !== undefined && whole !== parts.sha256) this.finish();
    if (whole === undefined) {
      this.#refuseName(entry.name, segmentEntryName(entry.sha256, undefined));
      this.#refusePartialLine(entry.name, data);
      return;
    }
    const current = this.#parts ?? {
      sha256: whole,
      hash: createHash('sha256'),
      next: 0,
      size: entry.size,
      last: data,
    };
    this.#parts = current;
    this.#refuseName(entry.name, segmentEntryName(whole, current.next));
    const tooMany = current.next >= MAX_PARTS;
    const afterShort = current.last.length !== current.size;
    if (tooMany || afterShort || current.size < MIN_CHUNK_BYTES || entry.size > current.size) {
      damaged('a part of a segment has an invalid size', {
        path: `${this.#location}: ${entry.name}`,
        found: entry.size,
      });
    }
    current.hash.update(data);
    current.last = data;
    current.next += 1;
  }

  /** Call it at the end of the export data. @throws {VerificationError} `SNAPSHOT_DAMAGED` */
  finish(): void {
    const parts = this.#parts;
    if (parts === undefined) return;
    this.#parts = undefined;
    const name = segmentEntryName(parts.sha256, parts.next - 1);
    const found = parts.hash.digest('hex');
    if (found !== parts.sha256 || parts.next === 1) {
      damaged('the parts of a segment are incomplete or wrong', {
        path: `${this.#location}: ${name}`,
        expected: parts.sha256,
        found,
      });
    }
    this.#refusePartialLine(name, parts.last);
  }

  #refuseName(found: string, expected: string): void {
    if (found === expected) return;
    damaged('an entry is not the next segment', {
      path: this.#location,
      expected,
      found,
    });
  }

  #refusePartialLine(name: string, data: Uint8Array): void {
    if (data.at(-1) === NEWLINE) return;
    damaged('a segment of export data does not end with a newline', {
      path: `${this.#location}: ${name}`,
    });
  }
}
