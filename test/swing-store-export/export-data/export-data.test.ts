import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VerificationError } from '../../../src/errors.ts';
import { NotCanonicalError } from '../../../src/swing-store-export/export-data/canonical-blocks.ts';
import { ExportDataHasher } from '../../../src/swing-store-export/export-data/export-data-hasher.ts';
import { readExportData } from '../../../src/swing-store-export/export-data/export-data.ts';
import { RecordIndex } from '../../../src/swing-store-export/export-data/record-index.ts';
import {
  bundleEntry,
  heapSnapshotEntries,
  transcriptSpanEntry,
} from '../../../src/swing-store-export/export-data/records.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const fileDir = useTempDir('file');
let scratchDir: string | undefined;
const scratch = async (): Promise<string> => (scratchDir ??= await fileDir());

/** In pieces that cut lines and characters anywhere. */
async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** The result of a read: the text, or the error. */
async function read(text: Buffer, size: number, dir?: string): Promise<Buffer | string> {
  const index = new RecordIndex(await scratch());
  try {
    const hasher = new ExportDataHasher(index);
    const blocks: Uint8Array[] = [];
    for await (const block of readExportData(pieces(text, size), 'a test', { scratchDir: dir })) {
      hasher.add(block);
      blocks.push(Buffer.from(block));
    }
    hasher.finish();
    return Buffer.concat(blocks);
  } catch (error) {
    if (error instanceof NotCanonicalError) return 'not canonical';
    if (error instanceof VerificationError) return 'refused';
    throw error;
  } finally {
    index.close();
  }
}

const value = fc.oneof(
  fc.string({ maxLength: 5 }),
  fc.string({ unit: 'binary', maxLength: 3 }),
  fc.constantFrom('\ud800', '\u2028', '\uffff', '\u{10000}', ''),
);
const vatID = fc.constantFrom('v1', 'v2', 'v10', '\uffff', '\u{10000}');
const position = fc.nat(3);
const hash = fc.constantFrom('aa', 'bb');
const line = (entry: readonly unknown[]): string => JSON.stringify(entry);

/** Lines that an exporter writes. */
const honest: fc.Arbitrary<string[]> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(value, value).map(([k, v]) => [line([`kv.${k}`, v])]) },
  fc
    .record({ vatID, snapPos: position, hash, inUse: fc.boolean() })
    .map((record) => [...heapSnapshotEntries(record)].map(line)),
  fc
    .record({
      vatID,
      startPos: position,
      endPos: position,
      hash,
      isCurrent: fc.boolean(),
      incarnation: position,
    })
    .map((record) => [line(transcriptSpanEntry(record))]),
  fc.constantFrom('b0-a', 'b1-b', 'b1-c').map((id) => [line(bundleEntry(id))]),
);

/** Lines that only hostile, old or unlucky exports contain. */
const odd = fc.constantFrom(
  ...['null', '', ' ', '{}', '5', '"k"', '"kv"', '[]', '["kv.a"]', '["kv.a",null]', '["kv.a",5]'],
  ...['["kv","x"]', '["x","y"]', '["x"]', '["kv.host.a","b"]', '["kv.local.a","b"]', '\ufeff[]'],
  ...['["kv.a", "b"]', '["kv.\\u0061","b"]', '["snapshot.v1.current"]', '["snapshot.v1.1","{}"]'],
  ...['["snapshot.v1.current","x"]', '["kv.a","b","c"]', '["bundle.b0-a","b0-b"]', '["kv.a","b"'],
);

const anyLines = fc
  .array(
    fc.oneof({ weight: 6, arbitrary: honest }, { weight: 1, arbitrary: odd.map((l) => [l]) }),
    {
      maxLength: 12,
    },
  )
  .map((lines) => lines.flat());

const chunk = fc.constantFrom(1, 3, 7, 64, 4096);

describe('export data, read as canonical and read in any order', () => {
  it('gives the same text: canonical text is the result of sorting it', async () => {
    let canonical = 0;
    let sorted = 0;
    const dir = await scratch();
    await fc.assert(
      fc.asyncProperty(anyLines, fc.boolean(), chunk, async (lines, sort, size) => {
        const ordered = sort
          ? [...new Set(lines)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
          : lines;
        const text = Buffer.from(ordered.map((one) => `${one}\n`).join(''));
        const normalised = await read(text, size, dir);
        const asIs = await read(text, size);
        if (Buffer.isBuffer(asIs)) {
          canonical += 1;
          expect(asIs.equals(text)).toBe(true);
          expect(Buffer.isBuffer(normalised) && normalised.equals(text)).toBe(true);
        } else if (asIs === 'refused') {
          // What is refused outright is refused in any order.
          expect(normalised).toBe('refused');
        }
        if (Buffer.isBuffer(normalised)) {
          sorted += 1;
          // Normalised export data is canonical, and does not change.
          expect(await read(normalised, size)).toEqual(normalised);
          expect(await read(normalised, size, dir)).toEqual(normalised);
        }
      }),
      { seed: 7, numRuns: 300 },
    );
    expect(canonical).toBeGreaterThan(20);
    expect(sorted).toBeGreaterThan(canonical);
  });

  it('is the same for any order of its lines, if no key is repeated', async () => {
    const dir = await scratch();
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(honest, {
          maxLength: 10,
          selector: ([first = '']) => (JSON.parse(first) as string[])[0],
        }),
        fc.infiniteStream(fc.nat()),
        async (groups, random) => {
          const lines = groups.flat();
          const keys = lines.map((one) => (JSON.parse(one) as string[])[0]);
          fc.pre(new Set(keys).size === keys.length && !lines.some((one) => one.includes('\\ud')));
          const ranked = lines.map((one) => [random.next().value as number, one] as const);
          const other = ranked.sort(([a], [b]) => a - b).map(([, one]) => one);
          const text = (all: readonly string[]) =>
            Buffer.from(all.map((one) => `${one}\n`).join(''));
          expect(await read(text(other), 64, dir)).toEqual(await read(text(lines), 64, dir));
        },
      ),
      { seed: 8, numRuns: 100 },
    );
  });

  it.each([
    ['in another order', '["kv.b","1"]\n["kv.a","1"]\n'],
    ['in UTF-16 order', '["kv.\u{10000}","1"]\n["kv.\uffff","1"]\n'],
    ['with a repeated key', '["kv.a","1"]\n["kv.a","1"]\n'],
    ['with spaces', '["kv.a", "1"]\n'],
    ['with an escape too many', '["kv.\\u0061","1"]\n'],
    ['with U+2028 escaped', '["kv.a","\\u2028"]\n'],
    ['with half a surrogate pair', '["kv.a","\\ud800"]\n'],
    ['with CRLF', '["kv.a","1"]\r\n'],
    ['with a blank line', '["kv.a","1"]\n\n'],
    ['with an unknown kind', '["x","1"]\n'],
    [
      'with a .current missing',
      '["snapshot.v1.1","{\\"vatID\\":\\"v1\\",\\"snapPos\\":1,\\"hash\\":\\"a\\",\\"inUse\\":1}"]\n',
    ],
  ])('is not accepted as canonical %s', async (_, text) => {
    expect(await read(Buffer.from(text), 4096)).toBe('not canonical');
  });

  it('has one U+FFFD for a lone surrogate, on every Node', async () => {
    const text = '["kv.k\\udc00","v\\ud800w\\ud83d"]\n["kv.k\\ud800","2"]\n["kv.l\\udc00",null]\n';
    const found = await read(Buffer.from(text), 4096, await scratch());
    expect(String(found)).toBe('["kv.k\ufffd","2"]\n');
  });

  it('gets a missing last newline', async () => {
    expect(await read(Buffer.from('["kv.a","1"]'), 4096)).toEqual(Buffer.from('["kv.a","1"]\n'));
  });
});
