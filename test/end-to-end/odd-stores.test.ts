/** What swingsnap publishes of stores with rows that no node writes: nothing that its own verify refuses. */
import { cp, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SwingSnapError, VerificationError } from '../../src/errors.ts';
import { openDatabase } from '../../src/io/sqlite.ts';
import { verify } from '../../src/operation/verify/verify.ts';
import { useTempDir } from '../fixtures/directories.ts';
import {
  buildStore,
  closeReference,
  referenceExport,
  referenceImport,
  ReferenceRefusal,
} from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { richSpec } from '../fixtures/specs.ts';
import { oddities } from './odd-stores.ts';
import { exportTo, retrieve } from './operations.ts';

const fileDir = useTempDir('file');
let honest: string;
let runs = 0;

beforeAll(async () => {
  honest = path.join(await fileDir(), 'S');
  await buildStore(honest, richSpec);
});
afterAll(closeReference);

/** A copy of the honest store in `S` of a new directory, changed by these statements. */
async function changed(statements: readonly string[]) {
  const dir = path.join(await fileDir(), `${(runs += 1)}`);
  const at = (name: string): string => path.join(dir, name);
  await mkdir(dir);
  await cp(honest, at('S'), { recursive: true });
  const db = openDatabase(path.join(at('S'), 'swingstore.sqlite'));
  db.pragma('ignore_check_constraints = ON');
  for (const statement of statements) db.exec(statement);
  db.close();
  return { dir, at };
}

/** The error if it is one of swingsnap or a refusal of the reference; undefined if there is none. */
async function refusalOf(
  work: Promise<unknown>,
): Promise<SwingSnapError | ReferenceRefusal | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof SwingSnapError || error instanceof ReferenceRefusal) return error;
    throw error;
  }
}

describe('a store with odd rows', () => {
  it('is published as what verify accepts, or refused', async () => {
    await fc.assert(
      fc.asyncProperty(oddities, async (statements) => {
        const { dir, at } = await changed(statements);
        const store = { stateDir: at('S'), artifactMode: 'operational' } as const;
        const refusal = await refusalOf(retrieve(at('D'), store));
        if (refusal === undefined) await verify({ source: at('D') });
        else if (!('code' in refusal) || refusal.code !== 'INCOMPLETE') {
          expect(refusal).toBeInstanceOf(VerificationError);
        }
        await mkdir(at('R'));
        const isImported =
          (await refusalOf(referenceExport(at('S'), at('R')))) === undefined &&
          (await refusalOf(referenceImport(at('R'), at('I')))) === undefined;
        const exported = await refusalOf(exportTo(at('E'), at('S'), store));
        if (isImported && exported === undefined) await verify({ source: at('E') });
        await rm(dir, { recursive: true });
      }),
      { seed: 20_260_102, numRuns: 40 },
    );
  }, 120_000);

  const refused: [statement: string, expected: string, found: string][] = [
    [`INSERT INTO kvStore VALUES ('b', x'00')`, 'kvStore.value: text', 'key "b", value 1 bytes'],
    [`INSERT INTO kvStore VALUES ('b', x'ff')`, 'kvStore.value: text', 'key "b", value 1 bytes'],
    [`INSERT INTO kvStore VALUES (x'6b', 'v')`, 'kvStore.key: text', 'key 1 bytes'],
    [`INSERT INTO kvStore VALUES (NULL, 'v')`, 'kvStore.key: text', 'key null'],
    [
      `UPDATE transcriptSpans SET endPos = 'text' WHERE vatID = 'v1' AND startPos = 0`,
      'transcriptSpans.endPos: a whole number from 0 on',
      '"text" in the row vatID "v1", startPos 0',
    ],
    [
      `UPDATE transcriptSpans SET startPos = -1 WHERE startPos = 0 AND vatID = 'v1'`,
      'startPos',
      '-1',
    ],
    [`UPDATE transcriptSpans SET incarnation = NULL WHERE vatID = 'v1'`, 'incarnation', 'null'],
    [`UPDATE transcriptSpans SET isCurrent = 3 WHERE isCurrent = 1`, 'isCurrent: 1 or NULL', '3'],
    [
      `UPDATE snapshots SET snapPos = 9007199254740993 WHERE vatID = 'v1'`,
      'snapPos',
      '900719925474',
    ],
    [`UPDATE snapshots SET hash = x'00'`, 'snapshots.hash', '1 bytes'],
    [`UPDATE snapshots SET compressedSnapshot = 'text'`, 'compressedSnapshot: a BLOB', 'text'],
    [`UPDATE bundles SET bundle = 3`, 'bundles.bundle', 'integer'],
    [`INSERT INTO bundles VALUES ('../x', x'00')`, 'bundles.bundleID: an id', '"../x"'],
  ];
  it.each(refused)(
    'is refused by all commands with the database and the row: %s',
    async (statement, wanted, found) => {
      const { dir, at } = await changed([statement.replace('UPDATE', 'UPDATE OR REPLACE')]);
      for (const words of [
        ['retrieve', '--create', '--state-dir', at('S'), '--snapshot-dir', at('D')],
        ['export', '--state-dir', at('S'), '--export-dir', at('E')],
      ]) {
        const { exitCode, json } = await runCli([...words, '--json']);
        expect({ exitCode, json }).toMatchObject({
          exitCode: 3,
          json: {
            error: {
              code: 'STORE_VALUE',
              path: path.join(at('S'), 'swingstore.sqlite'),
              expected: expect.stringContaining(wanted) as unknown,
              found: expect.stringContaining(found) as unknown,
              hint: expect.stringContaining('swingsnap restore') as unknown,
            },
          },
        });
      }
      expect((await readdir(dir)).filter((name) => name !== 'D')).toEqual(['S']);
    },
  );

  it('loses a key without a value, as in every importer, but not in an export, as in that of the reference', async () => {
    const { at } = await changed([`INSERT INTO kvStore VALUES ('b', NULL), ('zz', NULL)`]);
    await mkdir(at('R'));
    await referenceExport(at('S'), at('R'));
    const store = ['--state-dir', at('S')];
    for (const words of [
      ['retrieve', '--create', ...store, '--snapshot-dir', at('D')],
      ['export', ...store, '--export-dir', at('E')],
      ['verify', at('D'), ...store],
      ['verify', at('E'), ...store],
      ['restore', at('D'), '--state-dir', at('restored')],
      ['verify', at('E'), '--state-dir', at('restored')],
    ]) {
      expect({ words, ...(await runCli(words)) }).toMatchObject({ words, exitCode: 0 });
    }
    const [ours, theirs] = [at('E'), at('R')].map((dir) => path.join(dir, 'export-data.jsonl'));
    expect(await readFile(ours ?? '')).toEqual(await readFile(theirs ?? ''));
  });
});
