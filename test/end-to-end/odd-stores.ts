/** Changes that make the rows of a store odd: what no node writes, but SQLite keeps. */
import fc from 'fast-check';

/** Values that a column of SQLite can hold, whatever its type, as SQL. */
const VALUES = [
  'NULL',
  "''",
  "x''",
  "x'00ff'",
  // JSON null, and the array [1], in SQLite's binary form.
  "x'00'",
  "x'2b1331'",
  "'text'",
  "'v1'",
  "'a.b'",
  "'../x'",
  "CAST(x'ff' AS TEXT)",
  "'line' || char(10) || 'break'",
  "'nul' || char(0)",
  '-1',
  '0',
  '1',
  '3',
  "'7'",
  "' 8'",
  '1.5',
  '1e300',
  '9007199254740993',
  "printf('%.300c', 'v')",
] as const;

const COLUMNS = {
  kvStore: ['key', 'value'],
  transcriptItems: ['vatID', 'position', 'item', 'incarnation'],
  transcriptSpans: ['vatID', 'startPos', 'endPos', 'hash', 'isCurrent', 'incarnation'],
  snapshots: ['vatID', 'snapPos', 'inUse', 'hash', 'uncompressedSize', 'compressedSnapshot'],
  bundles: ['bundleID', 'bundle'],
} as const;

const columns = Object.entries(COLUMNS).flatMap(([table, names]) =>
  names.map((name) => ({ table, name })),
);

/** A statement that gives one column of one row an odd value. */
const update = fc.tuple(fc.constantFrom(...columns), fc.constantFrom(...VALUES), fc.nat(20)).map(
  ([{ table, name }, value, row]) =>
    `UPDATE OR IGNORE ${table} SET ${name} = ${value}
       WHERE rowid = (SELECT rowid FROM ${table} LIMIT 1 OFFSET
         ${row} % (SELECT max(1, count(*)) FROM ${table}))`,
);

/** A statement that gives a height that no chain has. */
const height = fc
  .constantFrom(...VALUES)
  .map((value) => `UPDATE kvStore SET value = ${value} WHERE key = 'host.height'`);

/** A new row of odd values. */
const insertion = fc
  .constantFrom(...Object.entries(COLUMNS))
  .chain(([table, names]) =>
    fc
      .tuple(...names.map(() => fc.constantFrom(...VALUES)))
      .map(
        (values) =>
          `INSERT OR IGNORE INTO ${table} (${names.join(', ')}) VALUES (${values.join(', ')})`,
      ),
  );

/** Statements to run on a store whose checks are off. */
export const oddities: fc.Arbitrary<string[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: update },
    { weight: 1, arbitrary: height },
    { weight: 2, arbitrary: insertion },
  ),
  { minLength: 1, maxLength: 3 },
);
