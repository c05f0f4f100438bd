import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { computeContentHash } from '../../src/swing-store-export/content-hash.ts';
import { ExportDataHasher } from '../../src/swing-store-export/export-data/export-data-hasher.ts';
import { RecordIndex } from '../../src/swing-store-export/export-data/record-index.ts';
import { ExportFiles } from '../end-to-end/export-files.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference, referenceExport } from '../fixtures/reference.ts';
import { richSpec } from '../fixtures/specs.ts';

const fileDir = useTempDir('file');
afterAll(closeReference);

let scratchDir: string;
let lines: readonly string[];

beforeAll(async () => {
  scratchDir = await fileDir();
  const stateDir = path.join(await fileDir(), 'agoric');
  await buildStore(stateDir, {
    ...richSpec,
    generatedKeys: [],
    bundles: richSpec.bundles!.slice(-1),
  });
  const exportDir = await fileDir();
  await referenceExport(stateDir, exportDir);
  ({ lines } = await ExportFiles.read(exportDir));
});

/** @param blockLines lines per block */
function hash(all: readonly string[], blockLines = Infinity) {
  const index = new RecordIndex(scratchDir);
  try {
    const hasher = new ExportDataHasher(index);
    const size = Math.min(blockLines, Math.max(all.length, 1));
    for (let at = 0; at < all.length; at += size) {
      hasher.add(Buffer.from(`${all.slice(at, at + size).join('\n')}\n`));
    }
    return hasher.finish();
  } finally {
    index.close();
  }
}

/** Whether two nodes that keep different history may differ in it. */
function isHistory(line: string): boolean {
  const [key, value] = JSON.parse(line) as [string, string];
  if (key.startsWith('snapshot.')) return value.endsWith('"inUse":0}');
  return key.startsWith('transcript.') && !key.endsWith('.current');
}

describe('the operational hash', () => {
  it('stays when any history is lost, and changes with anything else', () => {
    const whole = hash(lines);
    const kinds = { history: 0, operational: 0 };
    lines.forEach((line, i) => {
      const rest = hash([...lines.slice(0, i), ...lines.slice(i + 1)]);
      const history = isHistory(line);
      kinds[history ? 'history' : 'operational'] += 1;
      expect(rest.exportDataHash).not.toBe(whole.exportDataHash);
      expect([line, rest.operationalHash === whole.operationalHash]).toEqual([line, history]);
    });
    expect(Math.min(kinds.history, kinds.operational)).toBeGreaterThan(10);
  });

  it('stays when all history is lost', () => {
    const pruned = hash(lines.filter((line) => !isHistory(line)));
    expect(pruned.operationalHash).toBe(hash(lines).operationalHash);
  });

  it('changes with a value', () => {
    const whole = hash(lines).operationalHash;
    const changed = lines.map((line, i) => (i === 0 ? line.replace(/"\]$/, '!"]') : line));
    expect(hash(changed).operationalHash).not.toBe(whole);
  });

  it('does not depend on how the lines are divided into blocks', () => {
    const whole = hash(lines);
    for (const blockLines of [1, 2, 7]) expect(hash(lines, blockLines)).toEqual(whole);
    expect(whole.entries).toBe(lines.length);
  });

  it('is that of no bytes for empty export data', () => {
    const { exportDataHash, operationalHash, entries, size } = hash([]);
    expect(operationalHash).toBe(exportDataHash);
    expect({ entries, size }).toEqual({ entries: 0, size: 0 });
  });
});

describe('the content hash', () => {
  const artifact = { name: 'bundle.b0-x', size: 1, sha256: 'aa' };
  const base = computeContentHash(5, 'ff', [artifact]);

  it('changes with everything that it covers', () => {
    const others = [
      computeContentHash(6, 'ff', [artifact]),
      computeContentHash(5, 'fe', [artifact]),
      computeContentHash(5, 'ff', []),
      computeContentHash(5, 'ff', [artifact, artifact]),
      computeContentHash(5, 'ff', [{ ...artifact, name: 'bundle.b0-y' }]),
      computeContentHash(5, 'ff', [{ ...artifact, size: 2 }]),
      computeContentHash(5, 'ff', [{ ...artifact, sha256: 'ab' }]),
    ];
    expect(new Set([base, ...others]).size).toBe(others.length + 1);
    expect(computeContentHash(5, 'ff', [artifact])).toBe(base);
  });
});
