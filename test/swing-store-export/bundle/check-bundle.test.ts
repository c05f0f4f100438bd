import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VerificationError } from '../../../src/errors.ts';
import {
  canonicalNestedEvaluateBundle,
  checkBundle,
} from '../../../src/swing-store-export/bundle/check-bundle.ts';
import {
  flippedCases,
  handmadeCases,
  nestedEvaluateCases,
  randomCases,
  sha512,
  zipCases,
  type BundleCase,
} from './bundle-cases.ts';

interface Verdict {
  readonly accepted: boolean;
  readonly reason?: string;
  /** The bytes that the reference importer stored, in base64. */
  readonly stored?: string;
}

const judges = fileURLToPath(new URL('../../fixtures/judges/', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'swingsnap-check-bundle-'));
const bundles: BundleCase[] = [];

const run = (script: string, argument: string): string =>
  execFileSync(process.execPath, [join(judges, script), argument], {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  });

/** The reference's verdicts on all cases, from one process. */
function judge(cases: readonly BundleCase[]): Verdict[] {
  const list = cases.map(({ bundleID, bytes }, index) => {
    const file = join(directory, `case-${index}`);
    writeFileSync(file, bytes);
    return { bundleID, file };
  });
  const file = join(directory, 'cases.json');
  writeFileSync(file, JSON.stringify(list));
  return JSON.parse(run('check-bundle-judge.js', file)) as Verdict[];
}

function errorOf(bundleID: string, bytes: Uint8Array): VerificationError {
  try {
    checkBundle(bundleID, bytes);
  } catch (error) {
    if (error instanceof VerificationError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

function verdictOf({ bundleID, bytes }: BundleCase): Verdict {
  try {
    checkBundle(bundleID, bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(VerificationError);
    return { accepted: false, reason: String(error) };
  }
  const stored = bundleID.startsWith('b0-') ? canonicalNestedEvaluateBundle(bytes) : bytes;
  return { accepted: true, stored: Buffer.from(stored).toString('base64') };
}

/** Counts accepted and refused cases; throws with every case that the reference judges differently. */
function compare(cases: readonly BundleCase[]): { accepted: number; refused: number } {
  const verdicts = judge(cases);
  const differences = cases.flatMap((item, index) => {
    const theirs = verdicts[index];
    const ours = verdictOf(item);
    const isSame = theirs?.accepted === ours.accepted && theirs.stored === ours.stored;
    return isSame ? [] : [{ name: item.name, theirs: theirs?.reason, ours: ours.reason }];
  });
  expect(differences).toEqual([]);
  const accepted = verdicts.filter((verdict) => verdict.accepted).length;
  return { accepted, refused: verdicts.length - accepted };
}

function bundle(name: string): BundleCase {
  const found = bundles.find((item) => item.name === name);
  if (found === undefined) throw new Error(`no bundle ${name} was made`);
  return found;
}

beforeAll(() => {
  const made = JSON.parse(run('make-bundles.js', directory)) as {
    name: string;
    bundleID: string;
    file: string;
  }[];
  for (const { name, bundleID, file } of made) {
    bundles.push({ name, bundleID, bytes: readFileSync(file) });
  }
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe('checkBundle', () => {
  it('accepts the output of bundle-source, and no other id for it', () => {
    expect(bundles).toHaveLength(5);
    const ids = bundles.map(({ bundleID }) => bundleID);
    const cases = bundles.flatMap(({ name, bytes }) =>
      ids.map((bundleID) => ({ name: `${name} as ${bundleID}`, bundleID, bytes })),
    );
    expect(compare(cases)).toEqual({ accepted: 5, refused: 20 });
  });

  it('agrees with the reference on JSON bundles', () => {
    const cases = [...nestedEvaluateCases(bundle('nestedEvaluate single.js').bytes)];
    const { accepted, refused } = compare(cases);
    expect(accepted).toBeGreaterThan(10);
    expect(refused).toBeGreaterThan(10);
  });

  it('agrees with the reference on every peculiar compartment map, policy and module', () => {
    const { accepted, refused } = compare([...handmadeCases()]);
    expect(accepted).toBeGreaterThan(60);
    expect(refused).toBeGreaterThan(60);
  });

  it('agrees with the reference on damaged and strange zips', () => {
    const { accepted, refused } = compare([...zipCases(bundle('endoZipBase64 index.js').bytes)]);
    expect(accepted).toBeGreaterThan(10);
    expect(refused).toBeGreaterThan(60);
  });

  it('agrees with the reference on a flipped bit in any byte', () => {
    const { bytes } = bundle('endoZipBase64 single.js');
    const { accepted, refused } = compare([...flippedCases(bytes, 1)]);
    // Dates, versions and attributes prove nothing.
    expect(accepted).toBeGreaterThan(20);
    expect(refused).toBeGreaterThan(1000);
  });

  it.each([1, 2])('agrees with the reference on random damage, seed %i', (seed) => {
    const { bytes } = bundle('endoZipBase64 index.js');
    const { accepted, refused } = compare([...randomCases(bytes, seed, 200)]);
    expect(accepted).toBeGreaterThan(10);
    expect(refused).toBeGreaterThan(100);
  });

  it('reports which hash it expected and which it found', () => {
    const { bundleID, bytes } = bundle('endoZipBase64 single.js');
    const other = `b1-${sha512('other')}`;
    const error = errorOf(other, bytes);
    expect(error.message).toContain(`bundle.${other}`);
    expect(error).toMatchObject({
      code: 'BUNDLE_MISMATCH',
      path: `bundle.${other}`,
      expected: sha512('other'),
      found: bundleID.slice('b1-'.length),
    });
    const json = bundle('nestedEvaluate single.js');
    expect(errorOf('b0-00', json.bytes)).toMatchObject({
      code: 'BUNDLE_MISMATCH',
      expected: 'b0-00',
      found: json.bundleID,
    });
  });

  it('refuses an id with an unknown version as unsupported', () => {
    expect(errorOf('b2-00', new Uint8Array())).toMatchObject({ code: 'BUNDLE_UNSUPPORTED' });
  });

  it('reads bytes that are part of a larger buffer', () => {
    for (const { name, bundleID, bytes } of bundles) {
      const larger = Buffer.concat([Buffer.alloc(7, 1), bytes, Buffer.alloc(9, 1)]);
      const part = new Uint8Array(larger.buffer, larger.byteOffset + 7, bytes.length);
      expect(verdictOf({ name, bundleID, bytes: part })).toMatchObject({ accepted: true });
    }
  });
});
