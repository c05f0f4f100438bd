/** Small exports that would take much time or memory to check. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ItemBudget } from '../../src/swing-store-export/artifact/item-budget.ts';
import { verifyArtifact } from '../../src/swing-store-export/artifact/verify-artifact.ts';
import { checkBundle } from '../../src/swing-store-export/bundle/check-bundle.ts';
import { RecordIndex } from '../../src/swing-store-export/export-data/record-index.ts';
import { transcriptSpanEntry } from '../../src/swing-store-export/export-data/records.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { sha512 } from './bundle/bundle-cases.ts';
import { rawZip, type RawEntry } from './bundle/raw-zip.ts';

const tempDir = useTempDir();

/** Without the limits, each of them takes minutes or unbounded memory. */
const MAX_MS = 8000;

async function soon<T>(work: () => T): Promise<Awaited<T>> {
  const started = performance.now();
  const result = await work();
  expect(performance.now() - started).toBeLessThan(MAX_MS);
  return result;
}

interface Archive {
  readonly modules: Record<string, object>;
  readonly scopes?: Record<string, object>;
  readonly files: Record<string, string>;
  readonly more?: readonly RawEntry[];
}

/** Checks a bundle of one compartment, whose entry is `./a`. */
function check({ modules, scopes, files, more = [] }: Archive): void {
  const compartment = { location: 'c', name: 'c', label: 'c', modules, ...(scopes && { scopes }) };
  const others = { location: 'o', name: 'o', label: 'o', modules: {} };
  const map = JSON.stringify({
    entry: { compartment: 'c', module: './a' },
    compartments: { c: compartment, o: others },
  });
  const entries = Object.entries(files).map(([name, text]) => ({
    name,
    content: Buffer.from(text),
  }));
  const zip = rawZip([
    { name: 'compartment-map.json', content: Buffer.from(map) },
    ...entries,
    ...more,
  ]);
  checkBundle(`b1-${sha512(map)}`, zip);
}

const script = (imports: readonly string[]): string => JSON.stringify({ imports });
const named = (count: number, of: (i: number) => string): string[] =>
  Array.from({ length: count }, (_, i) => of(i));
const mismatch = (why: string) =>
  expect.objectContaining({
    code: 'BUNDLE_MISMATCH',
    message: expect.stringContaining(why) as string,
  }) as object;

describe('a bundle is refused at once', () => {
  it('whose zip names the same bytes over and over', async () => {
    const first = { name: 'x', content: Buffer.alloc(1_000_000) };
    // The directory names the entry many times; the bytes exist once.
    const zip = Buffer.from(rawZip([first]));
    const [end, directory] = [zip.subarray(-22), zip.subarray(zip.length - 22 - 47, -22)];
    const count = 20_000;
    end.writeUInt16LE(count, 8);
    end.writeUInt16LE(count, 10);
    end.writeUInt32LE(count * directory.length, 12);
    const bomb = Buffer.concat([
      zip.subarray(0, zip.length - 22 - 47),
      ...Array.from({ length: count }, () => directory),
      end,
    ]);
    await soon(() => {
      expect(() => {
        checkBundle(`b1-${sha512('')}`, bomb);
      }).toThrow(mismatch('more bytes than it has'));
    });
  });

  it('whose modules share one file', async () => {
    const names = named(5000, (i) => `./m${i}`);
    const shared = { location: 'f', parser: 'pre-cjs-json' };
    const modules = Object.fromEntries(names.map((name) => [name, shared]));
    const entry = { './a': { location: 'a', parser: 'pre-cjs-json' } };
    const files = {
      'c/a': script(names),
      'c/f': JSON.stringify({ imports: [], text: ' '.repeat(300_000) }),
    };
    await soon(() => {
      expect(() => {
        check({ modules: { ...entry, ...modules }, files });
      }).toThrow(mismatch('share their files'));
    });
  });

  it('whose modules have more imports than any contract', async () => {
    const names = named(200_000, (i) => `./m${i % 10}`);
    const all = Object.fromEntries(
      ['./a', ...named(10, (i) => `./m${i}`)].map((name) => [
        name,
        { location: name.slice(2), parser: 'pre-cjs-json' },
      ]),
    );
    const files = Object.fromEntries(
      Object.keys(all).map((name) => [`c/${name.slice(2)}`, script(names)]),
    );
    await soon(() => {
      expect(() => {
        check({ modules: all, files });
      }).toThrow(mismatch('more imports'));
    });
  });

  it('whose program is nested so that its text grows at each level', async () => {
    const depth = 3000;
    const nested = `${'['.repeat(depth)}"a"${`,"${'x'.repeat(300)}"]`.repeat(depth)}`;
    const files = { 'c/a': `{"imports":[],"__syncModuleProgram__":${nested}}` };
    await soon(() => {
      expect(() => {
        check({ modules: { './a': { location: 'a', parser: 'pre-mjs-json' } }, files });
      }).toThrow(mismatch('no program'));
    });
  });

  it('with thousands of scopes, for the import that no scope has', async () => {
    const scopes = Object.fromEntries(
      named(20_000, (i) => `s${i}`).map((prefix) => [prefix, { compartment: 'o' }]),
    );
    const modules: Record<string, object> = { './a': { location: 'a', parser: 'pre-cjs-json' } };
    const imports = named(20_000, (i) => `./m${i}`);
    for (const name of imports) modules[name] = { location: name.slice(2), parser: 'text' };
    const files: Record<string, string> = { 'c/a': script([...imports, 'none']) };
    for (const name of imports) files[`c/${name.slice(2)}`] = '';
    await soon(() => {
      expect(() => {
        check({ modules, scopes, files });
      }).toThrow(mismatch('"none"'));
    });
  });

  it('whose module has a name longer than any path', async () => {
    const long = `./${'a/'.repeat(100_000)}a`;
    const modules = {
      './a': { location: 'a', parser: 'pre-cjs-json' },
      [long]: { location: 'b', parser: 'pre-cjs-json' },
    };
    const files = { 'c/a': script([long]), 'c/b': script(named(100_000, () => 'a')) };
    await soon(() => {
      expect(() => {
        check({ modules, files });
      }).toThrow(mismatch('longer than any path'));
    });
  });
});

describe('records', () => {
  it('with an invalid number are refused at once, however many digits it has', async () => {
    const index = new RecordIndex(await tempDir());
    const record = {
      vatID: 'v1',
      startPos: `${'1'.repeat(500_000)}x`,
      endPos: 1,
      hash: 'h',
      isCurrent: 1,
      incarnation: 0,
    };
    await soon(() => {
      expect(() => {
        index.add('transcript.v1.current', JSON.stringify(record));
      }).toThrow('no startPos');
    });
    index.close();
  });

  it.each(['ascending', 'descending'])(
    'of thirty thousand spans of a vat take time in proportion to their number, %s',
    async (order) => {
      const index = new RecordIndex(await tempDir());
      const spans = Array.from({ length: 30_000 }, (_, i) => ({
        ...{ vatID: 'v1', startPos: i, endPos: i + 1, hash: 'h', incarnation: 0 },
        isCurrent: i === 29_999,
      }));
      if (order === 'descending') spans.reverse();
      await soon(() => {
        for (const span of spans) index.add(...transcriptSpanEntry(span));
        for (const { vatID, startPos, endPos } of spans) {
          const name = { kind: 'transcript', vatID, startPos, endPos } as const;
          index.expect(name, 'replay');
          index.notePresent(name, { size: 1, sha256: 'x' }, true);
        }
        expect(index.missing('archival')).toEqual([]);
      });
      index.close();
    },
  );
});

describe('a bundle', () => {
  it('that is larger than any chain accepts is refused before all of it is in memory', async () => {
    let read = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (const piece = Buffer.alloc(8 * 1024 * 1024); ; read += 1) yield piece;
    }
    const verified = verifyArtifact('b', { kind: 'bundle', bundleID: 'b1-0' }, endless());
    const reading = async (): Promise<void> => {
      for await (const _ of verified);
    };
    await expect(reading()).rejects.toMatchObject({ code: 'BUNDLE_TOO_LARGE', exitCode: 3 });
    expect(read).toBe(16);
  });
});

describe('transcript items', () => {
  const lines = Buffer.alloc(6_000_000, '\n');
  async function* twice(): AsyncGenerator<Uint8Array> {
    yield lines;
    yield lines;
  }
  const read = async (pieces: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const _ of pieces);
  };

  it('beyond those of the record are refused before the rest is hashed', async () => {
    const expected = { kind: 'transcript', hash: 'h', items: 10, endPos: 10 } as const;
    const reading = soon(async () => read(verifyArtifact('t', expected, twice())));
    await expect(reading).rejects.toMatchObject({
      code: 'ARTIFACT_MISMATCH',
      expected: 10,
      found: 11,
    });
  });

  it('of no bytes are refused if there are more than any kernel writes', async () => {
    const hash = createHash('sha256').digest('hex');
    const expected = { kind: 'transcript', hash, items: 12_000_000, endPos: 12_000_000 } as const;
    const budget = new ItemBudget();
    expect(() => {
      budget.spendOn('t', expected, 12_000_000);
    }).toThrow('too many short transcript items');
    const usual = new ItemBudget();
    usual.spendOn('t', expected, 64 * 12_000_000);
    usual.spendOn('t', { kind: 'snapshot', hash }, 1);
  });
});
