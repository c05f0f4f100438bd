/** Compares docs/json-output.md with the output of the commands. */
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDatabase } from '../../src/io/sqlite.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { makeMultistore } from '../fixtures/multistore.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';
import {
  makeChain,
  storeItems,
  wasmItems,
  wasmLeaves,
  type Leaf,
} from '../fixtures/state-sync/make-chain.ts';
import { streamOf, writeChunks } from '../fixtures/state-sync/make-snapshot.ts';
import { makePlace } from '../operation/place/made-place.ts';

const fileDir = useTempDir('file');
const docPath = fileURLToPath(new URL('../../docs/json-output.md', import.meta.url));

const STATE_SYNC = fileURLToPath(
  new URL('../fixtures/state-sync/format2-memstore-trailing/12345678-2.tar.gz', import.meta.url),
);

interface Field {
  readonly types: readonly string[];
  readonly optional: boolean;
}

/** The documented fields, by the heading of their table; '' is the part before the first heading. */
async function readDocument(): Promise<Map<string, Map<string, Field>>> {
  const sections = new Map<string, Map<string, Field>>();
  for (const section of (await readFile(docPath, 'utf8')).split(/^## /mu)) {
    const [heading = ''] = section.split('\n');
    const rows = section.matchAll(/^\| `([^`]+)` +\| ([a-z ]+?)( \?)? +\|([^|]*)\|([^|]*)\|$/gmu);
    const fields = new Map<string, Field>();
    for (const [, name = '', types = '', mark, , meaning = ''] of rows) {
      expect(meaning.trim(), `meaning of ${name} in ${heading}`).not.toBe('');
      fields.set(name, { types: types.split(' or '), optional: mark !== undefined });
    }
    sections.set(heading.startsWith('# ') ? '' : heading, fields);
  }
  return sections;
}

/** Every field below `value`, `a.b` and `a[].b`, with the type of its value. */
function fieldsOf(value: object, prefix = ''): [string, string][] {
  return Object.entries(value).flatMap(([name, child]) => describeField(prefix + name, child));
}

function describeField(path: string, value: unknown): [string, string][] {
  if (Array.isArray(value)) {
    const elements = value.flatMap((element: unknown) =>
      typeof element === 'object' && element !== null
        ? fieldsOf(element, `${path}[].`)
        : describeField(`${path}[]`, element),
    );
    return [[path, 'array'], ...elements];
  }
  if (typeof value === 'object' && value !== null) {
    return [[path, 'object'], ...fieldsOf(value, `${path}.`)];
  }
  return [[path, value === null ? 'null' : typeof value]];
}

let document: Map<string, Map<string, Field>>;
let base: string;

beforeAll(async () => {
  document = await readDocument();
  base = await fileDir();
  await buildStore(join(base, 'S'), { ...tinySpec, leaveWal: 'last-commit' });
  await cp(join(base, 'S'), join(base, 'R'), { recursive: true });
  await mkdir(join(base, 'linked'));
  await symlink(join(base, 'S', 'swingstore.sqlite'), join(base, 'linked', 'swingstore.sqlite'));
  await mkdir(join(base, 'X'));
  await mkdir(join(base, 'W'));
  const code = Buffer.from('byte code');
  await writeFile(join(base, 'W', createHash('sha256').update(code).digest('hex')), code);
  await mkdir(join(base, 'F0'));
  await writeFile(join(base, 'F0', 'file'), 'content');
  await cp(join(base, 'S'), join(base, 'older'), { recursive: true });
  const older = openDatabase(join(base, 'older', 'swingstore.sqlite'));
  older.exec(`UPDATE kvStore SET value = '900' WHERE key = 'host.height'`);
  older.close();
});
afterAll(closeReference);

/** The documented fields that occurred in some output. */
const seen = new Map<string, Set<string>>();

/** @param module the module in the output that is documented as `wasm` */
async function hold(
  section: string,
  exitCode: number,
  args: string,
  module = 'wasm',
): Promise<void> {
  const words = args.split(' ').map((word) => word.replace(/(?<=^|:)@/u, `${base}/`));
  const result = await runCli([...words, '--json']);
  expect({ args, stderr: result.stderr, exitCode: result.exitCode }).toEqual({
    args,
    stderr: '',
    exitCode,
  });
  expect(result.stdout.split('\n')).toHaveLength(2);
  const common = section === 'error' ? undefined : document.get('');
  const documented = new Map([...(common ?? []), ...(document.get(section) ?? [])]);
  const found = fieldsOf(result.json as object).map(
    ([name, type]) => [name.replace(`modules.${module}`, 'modules.wasm'), type] as const,
  );
  const shown = seen.get(section) ?? new Set();
  seen.set(section, shown);
  for (const [name, type] of found) {
    const field = documented.get(name);
    expect(field?.types, `${name} of ${args}`).toContain(type);
    shown.add(name);
  }
  const names = new Set(found.map(([name]) => name));
  const required = [...documented].filter(([, { optional }]) => !optional).map(([name]) => name);
  const absent = required.filter((name) => !names.has(name) && !isBelowEmpty(name, found));
  expect(absent, `fields that ${args} lacks`).toEqual([]);
}

/** Whether a field belongs to the elements of an empty array. */
function isBelowEmpty(name: string, found: readonly (readonly [string, string])[]): boolean {
  const [array = '', rest] = name.split('[]');
  return rest !== undefined && !found.some(([other]) => other.startsWith(`${array}[]`));
}

async function chainWithCodes(): Promise<string> {
  const code = Buffer.from('a byte code');
  const entry: Leaf = [Buffer.from('swingStore.kv.a'), Buffer.from('1')];
  const chain = makeChain(7, { swingset: [entry], wasm: wasmLeaves([code]) });
  const stream = streamOf([...storeItems(chain), ...wasmItems([code])]);
  return writeChunks(join(base, 'chain'), 7, 3, [stream]);
}

describe('the documented JSON objects', { timeout: 180_000 }, () => {
  it('are exactly what each command prints', async () => {
    await hold('--check', 0, 'export --check --state-dir @S --export-dir @E');
    await hold('retrieve', 0, 'retrieve --create --state-dir @older --snapshot-dir @D');
    await hold('export', 0, 'export --state-dir @S --export-dir @E');
    await hold(
      'export --from',
      0,
      `export --from ${STATE_SYNC} --mem-store mem_capability --export-dir @G`,
    );
    await hold('--check', 0, 'retrieve --check --export-dir @E --snapshot-dir @D');
    await hold('status', 0, 'status --export-dir @E');
    await writeFile(join(base, 'E', 'strange'), '');
    await hold('retrieve', 0, 'retrieve --create --export-dir @E --snapshot-dir @D');
    await hold('retrieve', 0, 'retrieve --create --state-dir @S --snapshot-dir @D --keep-last 1');
    await hold('list', 0, 'list @D');
    await hold('show', 0, 'show @D');
    const left = join(base, 'P', '.8-0123456789ab');
    await makePlace(join(base, 'P'), [{ height: 1 }, { height: 2 }, { height: 3 }]);
    await mkdir(left);
    await writeFile(join(left, '.lock'), 'a lock of swingsnap\n');
    await writeFile(
      join(base, 'P', '.swingsnap.json'),
      JSON.stringify({ format: 'swingsnap-place', version: 1, chainId: 'agoric-3' }),
    );
    await hold('list', 0, 'list @P');
    await hold('prune', 0, 'prune @P --keep-last 9');
    await hold('prune', 0, 'prune @P --keep-last 2 --stale 0 --dry-run');
    await hold('copy', 0, 'copy @D @Q --create');
    await hold('copy', 0, 'copy @D @Q');
    await makePlace(join(base, 'K'), [{ height: 1 }]);
    await hold('copy', 0, 'copy @D @K --keep-last 1');
    await hold('verify --all', 0, 'verify @Q --all');
    await hold('verify --all', 0, 'verify @Q --sample 5%');
    await hold('remove', 0, 'remove @P/2');
    const repack = 'retrieve --format state-sync --snapshot-dir @A --stores-from';
    await hold(
      'retrieve --format state-sync',
      0,
      `${repack} ${STATE_SYNC} --from ${STATE_SYNC} --mem-store mem_capability`,
    );
    const codes = await chainWithCodes();
    await hold('retrieve --format state-sync', 0, `${repack} ${codes} --from ${codes}`);
    await hold('verify', 0, 'verify @D');
    await hold('verify', 0, 'verify @D --state-dir @S');
    await hold('verify', 0, `verify ${STATE_SYNC} --mem-store mem_capability`);
    await hold('verify', 0, `verify ${codes}`);
    await hold('restore', 0, `restore ${codes} --state-dir @N5 --module wasm=wasm:@W5`);
    await hold('verify', 0, `verify ${codes} --state-dir @N5 --module wasm=wasm:@W5`);
    await hold('retrieve', 0, `retrieve --create --from ${codes} --snapshot-dir @C`);
    await hold('verify --quick', 0, 'verify @D --quick');
    await hold('--check', 0, 'restore @D --check --state-dir @N');
    await hold('--check', 0, 'verify @D --check');
    await hold('restore', 0, 'restore @D --state-dir @N');
    await hold('restore', 0, 'restore @D --state-dir @R --replace');
    await hold('restore', 0, 'restore @D --state-dir @linked --replace');
    await makeMultistore(join(base, 'H'), 1000);
    await hold('restore', 0, 'restore @D --home @H');
    await hold('verify', 0, 'verify @D --home @H');
    await hold('status', 0, 'status --home @H');
    const [toW, toF] = ['--module wasm=wasm:@W', '--module ibc=files:@F0'];
    await hold('retrieve', 0, `retrieve --create --state-dir @S --snapshot-dir @M ${toW}`);
    await hold('retrieve', 0, `retrieve --create --state-dir @S --snapshot-dir @MF ${toF}`, 'ibc');
    await hold('verify', 0, `verify @M --state-dir @S ${toW}`);
    await hold('restore', 0, `restore @M --state-dir @N3 --module wasm=wasm:@W3`);
    await mkdir(join(base, 'F1'));
    await writeFile(join(base, 'F1', 'old'), '');
    await hold('restore', 0, 'restore @MF --state-dir @N4 --replace --module ibc=files:@F1');
    await hold('export --detach', 0, 'export --detach --state-dir @S --export-dir @F');
    await writeFile(join(base, 'F', 'strange'), '');
    await hold('discard', 0, 'discard --export-dir @F');
    await hold('status', 0, 'status --state-dir @S');
  });

  it('are exactly what each command prints when it fails', async () => {
    await hold('error', 2, 'export');
    await hold('error', 2, 'export --export-dir @E2 --height x');
    await hold('error', 5, 'export --state-dir @X --export-dir @E2');
    await hold('error', 2, 'retrieve --create --snapshot-dir @D');
    await hold('error', 5, 'retrieve --create --export-dir @none --snapshot-dir @D');
    await hold('error', 1, 'discard --export-dir @X');
    await hold('error', 1, 'restore @D --state-dir @S');
    await hold('error', 3, `restore @D --state-dir @N2 --expect ${'0'.repeat(64)}`);
    await hold('error', 5, 'verify @D --height 1 --state-dir @S');
    await hold('error', 5, 'verify @none');
    await hold('error', 2, 'no-such-command');
  });

  it('of --progress json are exactly the lines that commands write', async () => {
    const documented = document.get('--progress json');
    const shown = new Set<string>();
    const hold = async (args: string, env: Readonly<Record<string, string>> = {}) => {
      const words = args.split(' ').map((word) => word.replace(/^@/u, `${base}/`));
      const { stderr } = await runCli([...words, '--progress', 'json'], { env });
      const lines = stderr.trimEnd().split('\n');
      const events = lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
      for (const event of events) {
        for (const [name, type] of fieldsOf(event)) {
          if (name.startsWith('error.')) continue;
          expect(documented?.get(name)?.types, `${name} of ${args}`).toContain(type);
          shown.add(name);
        }
        for (const [name, { optional }] of documented ?? []) {
          if (!optional) expect(event).toHaveProperty(name);
        }
      }
      return events.map(({ event }) => event);
    };
    const events = await hold('retrieve --create --state-dir @S --snapshot-dir @L');
    // The store has a -wal that this reader is the last to close, which is noted.
    expect(new Set(events)).toEqual(new Set(['progress', 'phase', 'note']));
    expect(await hold('verify @L --json')).toContain('phase');
    expect(await hold('verify @none', { DEBUG: 'x' })).toEqual(['error']);
    expect(await hold('verify @L --height x')).toEqual(['error']);
    expect(await hold('no-such-command')).toEqual(['error']);
    const unseen = [...(documented ?? [])].map(([name]) => name).filter((name) => !shown.has(name));
    // A small store is done before its rate is known, and a signal would come too late.
    expect(unseen).toEqual(['timeLeft', 'signal']);
  });

  it('have no field that no command prints', () => {
    for (const section of [
      'export',
      'export --from',
      'export --detach',
      'retrieve',
      'retrieve --format state-sync',
      'discard',
      'restore',
      'verify',
      'verify --quick',
      'list',
      'show',
      'prune',
      'remove',
      'copy',
      'verify --all',
      '--check',
    ]) {
      const unseen = [...(document.get(section) ?? [])]
        .map(([name]) => name)
        .filter((name) => !seen.get(section)?.has(name));
      expect({ section, unseen }).toEqual({ section, unseen: [] });
    }
  });
});
