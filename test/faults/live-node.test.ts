/** `retrieve`, `status --home` and `verify --home` beside a node that commits to its SwingStore and to its multistore. */
import { readdirSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { LiveWriter } from '../fixtures/writer.ts';

const tempDir = useTempDir();
const ROUNDS = 5;

interface Told {
  readonly path?: string;
  readonly height?: number;
  readonly notes?: readonly string[];
  readonly error?: { readonly code: string };
  readonly multistore?: {
    readonly height?: number;
    readonly relation: string;
    readonly start?: string;
  };
}

async function told(...args: string[]) {
  const { exitCode, json, stderr } = await runCli([...args, '--json']);
  expect(json, stderr).toBeDefined();
  return { exitCode, ...(json as Told) };
}

/** Sees whether a table of a database becomes smaller, as often as it is told to look. */
class Tables {
  readonly shrunk: string[] = [];
  readonly #dir: string;
  readonly #sizes = new Map<string, number>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  look(): void {
    for (const name of readdirSync(this.#dir).filter((one) => one.endsWith('.ldb'))) {
      const size = statSync(join(this.#dir, name), { throwIfNoEntry: false })?.size;
      if (size === undefined) continue;
      if (size < (this.#sizes.get(name) ?? 0)) this.shrunk.push(name);
      this.#sizes.set(name, size);
    }
  }
}

describe('beside a node that commits to both stores', { timeout: 300_000 }, () => {
  it('snapshots, the state and comparisons are right, and the node loses nothing', async () => {
    const dir = await tempDir();
    const [home, snapshots] = [join(dir, 'home'), join(dir, 'snapshots')];
    const node = await LiveWriter.start(dir, { home });
    const tables = new Tables(join(home, 'data', 'application.db'));
    const looking = setInterval(() => {
      tables.look();
    }, 5);
    onTestFinished(() => {
      clearInterval(looking);
      node.kill();
    });

    // As fast as it can.
    for (let round = 0; round < ROUNDS; round += 1) {
      const taken = await told('retrieve', '--create', '--home', home, '--snapshot-dir', snapshots);
      expect(taken.exitCode).toBe(0);
      const { exitCode, multistore, notes } = await told('status', '--home', home);
      expect(exitCode).toBe(0);
      // Of one moment, or not told.
      if (multistore?.relation === 'unknown') expect(notes?.join('\n')).toMatch(/unknown/u);
      else expect(multistore?.start).toMatch(/continues|recovers/u);
      const compared = await told('verify', taken.path ?? '', '--home', home);
      expect(compared).toMatchObject({ exitCode: 3, error: { code: 'STORE_HEIGHT' } });
    }

    // As a node, which takes a second for a block and more.
    node.setPause(6000);
    await sleep(200);
    const taken = await told('retrieve', '--create', '--home', home, '--snapshot-dir', snapshots);
    const state = await told('status', '--home', home);
    expect(state).toMatchObject({ exitCode: 0, notes: [], multistore: { start: 'continues' } });
    const compared = await told('verify', taken.path ?? '', '--home', home);
    if (compared.exitCode === 0) {
      const { height } = taken;
      expect(compared).toMatchObject({ multistore: { height, relation: 'same' } });
    } else expect(compared.error?.code).toBe('STORE_HEIGHT');

    const stats = await node.stop();
    tables.look();
    clearInterval(looking);
    expect(tables.shrunk).toEqual([]);
    expect(stats).toMatchObject({ busy: 0, errors: [] });
    const { height = 0, entries = 0, right } = stats.multistore ?? {};
    expect(height).toBe(await node.height());
    expect(entries).toBeGreaterThan(0);
    expect(right).toBe(entries);
    expect(await readdir(join(home, 'data'))).toEqual(['agoric', 'application.db']);
    // All of the SwingStore, as the writer has logged it.
    const last = await told('retrieve', '--home', home, '--snapshot-dir', snapshots);
    expect(last).toMatchObject({ exitCode: 0, height });
    const all = await told('verify', last.path ?? '', '--home', home);
    expect(all).toMatchObject({ exitCode: 0, multistore: { height, relation: 'same', by: 0 } });
  });
});
