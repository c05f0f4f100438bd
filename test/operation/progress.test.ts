/** What operations report of their progress, form by form. */
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Progress, ProgressTotal } from '../../src/io/progress.ts';
import { WorkMeter } from '../../src/io/work-meter.ts';
import { exportFrom } from '../../src/operation/export/export-from.ts';
import { exportStore } from '../../src/operation/export/export-store.ts';
import { restore } from '../../src/operation/restore/restore.ts';
import { retrieve } from '../../src/operation/retrieve/retrieve.ts';
import { retrieveStateSync } from '../../src/operation/retrieve/state-sync-archive.ts';
import { quicklyVerify, verify } from '../../src/operation/verify/verify.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { tinySpec } from '../fixtures/specs.ts';
import type { StoreSpec } from '../fixtures/store-spec.ts';

const fileDir = useTempDir('file');
const tempDir = useTempDir();
afterAll(closeReference);

const STATE_SYNC = fileURLToPath(
  new URL('../fixtures/state-sync/format3/1000-3.tar.gz', import.meta.url),
);

/** Three vats, of which one has history; and keys, some of which no export has. */
const spec: StoreSpec = {
  ...tinySpec,
  height: 20,
  kv: Object.fromEntries(
    Array.from({ length: 3000 }, (_, n) => [`key.${n}`, JSON.stringify({ value: n, text: 'x"y' })]),
  ),
  local: { 'local.one': '1', 'local.two': '2' },
  vats: [1, 2, 3].map((n) => ({
    vatID: `v${n}`,
    incarnations: [
      {
        spans: [
          { items: { count: 40, size: 900, seed: n }, heap: { size: 400_000 + n, seed: n } },
          ...(n === 1
            ? [{ items: { count: 300, size: 900, seed: 9 }, heap: { size: 500_000, seed: 9 } }]
            : []),
          { items: { count: 60, size: 900, seed: 10 + n } },
        ],
      },
    ],
  })),
};

/** The state-sync snapshot is so small that its size tells little of its artifacts. */
const SMALL = 100_000;

interface Seen {
  readonly name: string;
  readonly total: ProgressTotal;
  bytes: number;
  items: number;
}

/** Progress that keeps the phases, and the part of the whole after each report. */
function watching() {
  const work = new WorkMeter();
  const phases: Seen[] = [];
  const parts: number[] = [];
  const look = (): void => {
    if (work.part !== undefined) parts.push(work.part);
  };
  const progress: Required<Progress> = {
    plan: (planned) => {
      work.plan(planned);
      look();
    },
    phase: (name, total = {}) => {
      work.phase(name, total);
      phases.push({ name, total, bytes: 0, items: 0 });
      look();
    },
    advance: (bytes, items = 0) => {
      work.advance(bytes, items);
      const last = phases.at(-1)!;
      last.bytes += bytes;
      last.items += items;
      look();
    },
    beside: (...args) => {
      work.beside(...args);
      look();
    },
    note: () => undefined,
  };
  return { phases, parts, progress };
}

let base: string;
const stateDir = (): string => join(base, 'agoric');
const archival = (): string => join(base, 'E');
const snapshotDir = (): string => join(base, 'D');

beforeAll(async () => {
  base = await fileDir();
  await buildStore(stateDir(), spec);
  await exportStore({ stateDir: stateDir(), exportDir: archival(), artifactMode: 'archival' });
  await retrieve({
    source: { exportDir: archival(), remove: 'never', wait: false },
    snapshotDir: snapshotDir(),
    create: true,
  });
});

type Operation = (progress: Progress, dir: string) => Promise<unknown>;

const archivalSnapshot = (): string => join(snapshotDir(), '20');
const PLAIN = ['export data', 'artifacts'];

const operations: readonly (readonly [string, readonly string[], Operation])[] = [
  [
    'export of a store',
    ['opening the store', ...PLAIN],
    async (progress, dir) =>
      exportStore({ stateDir: stateDir(), exportDir: join(dir, 'X'), progress }),
  ],
  [
    'export of a snapshot',
    PLAIN,
    async (progress, dir) =>
      exportFrom({ source: archivalSnapshot(), exportDir: join(dir, 'X'), progress }),
  ],
  [
    'export of the operational part of a snapshot',
    PLAIN,
    async (progress, dir) =>
      exportFrom({
        source: archivalSnapshot(),
        exportDir: join(dir, 'X'),
        artifactMode: 'operational',
        progress,
      }),
  ],
  [
    'retrieve of a store',
    ['opening the store', ...PLAIN],
    async (progress, dir) =>
      retrieve({
        source: { stateDir: stateDir(), artifactMode: 'operational' },
        snapshotDir: join(dir, 'D'),
        create: true,
        progress,
      }),
  ],
  [
    'retrieve of an export directory',
    PLAIN,
    async (progress, dir) =>
      retrieve({
        source: { exportDir: archival(), remove: 'never', wait: false },
        snapshotDir: join(dir, 'D'),
        create: true,
        progress,
      }),
  ],
  [
    'retrieve of a state-sync archive',
    ['stores', ...PLAIN, 'archive'],
    async (progress, dir) =>
      retrieveStateSync({
        source: { from: STATE_SYNC },
        storesFrom: STATE_SYNC,
        snapshotDir: dir,
        progress,
      }),
  ],
  ['verify of a snapshot', PLAIN, async (progress) => verify({ source: snapshotDir(), progress })],
  ['verify of an export', PLAIN, async (progress) => verify({ source: archival(), progress })],
  [
    'verify of a state-sync snapshot',
    ['stores', ...PLAIN],
    async (progress) => verify({ source: STATE_SYNC, progress }),
  ],
  [
    'verify of chunks',
    ['chunks'],
    async (progress) => quicklyVerify({ source: snapshotDir(), progress }),
  ],
  [
    'comparison with a store',
    [...PLAIN, 'export data of the store', 'artifacts of the store'],
    async (progress) => verify({ source: snapshotDir(), stateDir: stateDir(), progress }),
  ],
  [
    'restore',
    PLAIN,
    async (progress, dir) => restore({ source: snapshotDir(), stateDir: join(dir, 'S'), progress }),
  ],
  [
    'restore of the operational part of an export',
    PLAIN,
    async (progress, dir) =>
      restore({
        source: archival(),
        stateDir: join(dir, 'S'),
        artifactMode: 'operational',
        progress,
      }),
  ],
  [
    'restore that is read again',
    [...PLAIN, 'export data read again', 'artifacts read again'],
    async (progress, dir) =>
      restore({ source: snapshotDir(), stateDir: join(dir, 'S'), paranoid: true, progress }),
  ],
];

describe.each(operations)('the progress of %s', (what, names, operation) => {
  it('names its phases, never goes back, and counts what is done', async () => {
    const { phases, parts, progress } = watching();
    await operation(progress, await tempDir());
    expect(phases.map(({ name }) => name)).toEqual(names);
    for (const [at, part] of parts.entries()) {
      expect(part).toBeGreaterThanOrEqual((parts[at - 1] ?? 0) - 1e-9);
    }
    expect(parts.at(-1)).toBeGreaterThan(0.9);
    const slack = what.includes('state-sync') ? SMALL : 0;
    for (const { name, total, bytes, items } of phases) {
      if (total.items !== undefined) expect([name, items]).toEqual([name, total.items]);
      // What a live store holds, and what is behind the stores of a state-sync snapshot, is estimated.
      if (total.bytes === undefined) continue;
      expect(bytes).toBeGreaterThan(total.bytes * 0.8 - slack);
      expect(bytes).toBeLessThan(total.bytes * 1.25 + slack);
    }
  });
});

describe('the progress of an operation of several parts', () => {
  it('counts a second pass from the start', async () => {
    const { phases, parts, progress } = watching();
    const before: (number | undefined)[] = [];
    await restore({
      source: snapshotDir(),
      stateDir: join(await tempDir(), 'S'),
      paranoid: true,
      progress: {
        ...progress,
        phase: (name, total) => {
          before.push(parts.at(-1));
          progress.phase(name, total);
        },
      },
    });
    expect(phases).toHaveLength(4);
    const [, , again = 0] = before;
    expect(again).toBeGreaterThan(0.4);
    expect(again).toBeLessThan(0.6);
  });

  it('has a phase for an earlier snapshot that is verified first, and counts what comes behind it', async () => {
    const dir = await tempDir();
    await cp(snapshotDir(), join(dir, 'D'), { recursive: true });
    await buildStore(join(dir, 'later'), { ...spec, height: 30 });
    vi.stubEnv('SWINGSNAP_STATE_DIR', join(dir, 'nothing-known'));
    try {
      const { phases, parts, progress } = watching();
      const before: (number | undefined)[] = [];
      await retrieve({
        source: { stateDir: join(dir, 'later'), artifactMode: 'operational' },
        snapshotDir: join(dir, 'D'),
        progress: {
          ...progress,
          phase: (name, total) => {
            before.push(parts.at(-1));
            progress.phase(name, total);
          },
        },
      });
      expect(phases.map(({ name }) => name)).toEqual([
        'opening the store',
        'snapshot of height 20',
        ...PLAIN,
      ]);
      const earlier = phases[1];
      expect(earlier?.bytes).toBe(earlier?.total.bytes);
      expect(before[2]).toBeGreaterThan(0.4);
      expect(before[2]).toBeLessThan(0.7);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('counts the artifacts that the artifact mode takes, not those of the source', async () => {
    const counted: (number | undefined)[] = [];
    for (const artifactMode of ['operational', 'archival'] as const) {
      const { phases, progress } = watching();
      await restore({
        source: archival(),
        stateDir: join(await tempDir(), 'S'),
        artifactMode,
        progress,
      });
      counted.push(phases.at(-1)?.total.items);
    }
    const [some = 0, all = 0] = counted;
    expect(some).toBeGreaterThan(0);
    expect(some).toBeLessThan(all);
  });

  it('counts other modules, whose phases are not shown', async () => {
    const dir = await tempDir();
    const tree = join(dir, 'tree');
    await mkdir(tree);
    for (const n of [1, 2, 3]) await writeFile(join(tree, `${n}`), Buffer.alloc(2_000_000, n));
    const made = watching();
    const told: unknown[][] = [];
    const source = { stateDir: stateDir(), artifactMode: 'operational' } as const;
    await retrieve({
      source,
      snapshotDir: join(dir, 'D'),
      create: true,
      modules: [{ name: 'ibc', kind: 'files', dir: tree }],
      progress: {
        ...made.progress,
        beside: (...args) => {
          told.push(args);
          made.progress.beside(...args);
        },
      },
    });
    expect(told.at(-1)).toEqual(['ibc', 6_000_000, 6_000_000]);
    expect(made.phases.map(({ name }) => name)).toEqual(['opening the store', ...PLAIN]);
    expect(made.parts.at(-1)).toBeGreaterThan(0.9);
    told.length = 0;
    await verify({
      source: join(dir, 'D'),
      progress: {
        ...made.progress,
        beside: (...args) => void told.push(args),
      },
    });
    expect(told[0]).toEqual(['ibc', 0, 6_000_000]);
    expect(told.at(-1)).toEqual(['ibc', 6_000_000, 6_000_000]);
  });
});
