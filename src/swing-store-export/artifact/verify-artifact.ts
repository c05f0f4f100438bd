/**
 * Checks an artifact's content against its record, by the rules of the reference importer. Each check passes the
 * bytes on while it reads and throws at the end if they were wrong, so a consumer must not make anything visible
 * before the iteration has ended.
 */
import { isUtf8 } from 'node:buffer';
import { createHash, hash as hashOnce } from 'node:crypto';
import { VerificationError } from '../../errors.ts';
import { linesOf, wholeLines } from '../../io/bytes/lines.ts';
import { joined } from '../../io/bytes/pieces.ts';
import { checkBundle } from '../bundle/check-bundle.ts';
import type { ExpectedContent } from './expected-content.ts';
import type { ItemBudget } from './item-budget.ts';

const sha256 = (data: string | Uint8Array): string => hashOnce('sha256', data, 'hex');

/** Limit for a bundle, which is in memory three times. It is a dozen times what Agoric's chain installs. */
const MAX_BUNDLE_BYTES = 128 * 1024 * 1024;

/** The cumulative hash of a span without items; `transcriptStore.js`, `initialHash`. */
const EMPTY_SPAN_HASH = sha256('start of transcript span');

/** Adds one item to the cumulative hash of a span; `transcriptStore.js`, `updateSpanHash`. */
export function updateSpanHash(hash: string, item: string | Uint8Array): string {
  return sha256(hash + sha256(item));
}

/**
 * Checks `data` against the record of artifact `name` while passing it on.
 * @param budget for transcript items, unless the whole artifact is in memory
 * @throws {VerificationError} `ARTIFACT_MISMATCH`, `BUNDLE_TOO_LARGE`, or as `checkBundle`
 */
export function verifyArtifact(
  name: string,
  expected: ExpectedContent,
  data: AsyncIterable<Uint8Array>,
  budget?: ItemBudget,
): AsyncIterable<Uint8Array> {
  switch (expected.kind) {
    case 'snapshot':
      return verifyHeapSnapshot(name, expected.hash, data);
    case 'transcript':
      return verifySpan(name, expected, data, budget);
    case 'bundle':
      return verifyBundle(expected.bundleID, data);
  }
}

async function* verifyHeapSnapshot(
  name: string,
  expected: string,
  data: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const piece of data) {
    hash.update(piece);
    yield piece;
  }
  const found = hash.digest('hex');
  if (found !== expected) {
    throw new VerificationError('ARTIFACT_MISMATCH', `heap snapshot ${name} has the wrong hash`, {
      path: name,
      expected,
      found,
    });
  }
}

async function* verifySpan(
  name: string,
  expected: SpanFacts,
  data: AsyncIterable<Uint8Array>,
  budget: ItemBudget | undefined,
): AsyncGenerator<Uint8Array> {
  let hash = EMPTY_SPAN_HASH;
  let items = 0;
  for await (const block of wholeLines(data, name)) {
    const before = items;
    for (const line of linesOf(block)) {
      items += 1;
      if (items > expected.items) throw otherSpan(name, expected, { hash, items });
      hash = updateSpanHash(hash, itemOfLine(line));
    }
    budget?.spend(name, items - before, block.length);
    yield block;
  }
  const found = { hash, items };
  if (items !== expected.items || hash !== expected.hash) throw otherSpan(name, expected, found);
}

interface SpanFacts {
  readonly hash: string;
  readonly items: number;
}

function otherSpan(name: string, expected: SpanFacts, found: SpanFacts): VerificationError {
  const what = found.items === expected.items ? 'hash' : 'items';
  return new VerificationError(
    'ARTIFACT_MISMATCH',
    `transcript span ${name} has the wrong ${what === 'hash' ? 'hash' : 'number of items'}`,
    {
      path: name,
      expected: expected[what],
      found: found[what],
      hint: 'if an item ends in white space or contains a line break, no export can hold it',
    },
  );
}

/**
 * The transcript item on a line (with its newline), as the reference importer reads it: decoded as UTF-8, without
 * trailing white space.
 */
export function itemOfLine(line: Buffer): string | Uint8Array {
  const body = line.subarray(0, line.length - 1);
  const last = body.at(-1);
  // Fast path: nearly every item is JSON and ends in a bracket, so its bytes are the item.
  if (last !== undefined && last > 0x20 && last < 0x80 && isUtf8(body)) return body;
  return body.toString().trimEnd();
}

async function* verifyBundle(
  bundleID: string,
  data: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of data) {
    size += piece.length;
    if (size > MAX_BUNDLE_BYTES) {
      throw new VerificationError('BUNDLE_TOO_LARGE', 'a bundle is larger than any chain accepts', {
        path: `bundle.${bundleID}`,
        expected: `at most ${MAX_BUNDLE_BYTES} bytes`,
      });
    }
    pieces.push(Buffer.from(piece));
  }
  const bytes = joined(pieces);
  checkBundle(bundleID, bytes);
  yield bytes;
}
