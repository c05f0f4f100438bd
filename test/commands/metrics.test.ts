/** The metrics that each command of a night writes, in one file. */
import { cp, readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExportSummary } from '../../src/swing-store-export/swing-store-export.ts';
import { useTempDir } from '../fixtures/directories.ts';
import { buildStore, closeReference } from '../fixtures/reference.ts';
import { runCli } from '../fixtures/run-cli.ts';
import { tinySpec } from '../fixtures/specs.ts';

const fileDir = useTempDir('file');
let base: string;
let metrics: string;

beforeAll(async () => {
  base = await fileDir();
  metrics = join(base, 'night.prom');
  await buildStore(join(base, 'S'), tinySpec);
});
afterAll(closeReference);

async function run(args: string): Promise<Record<string, unknown>> {
  const words = args.split(' ').map((word) => word.replace(/^@/u, `${base}/`));
  const { json, stderr } = await runCli([...words, '--metrics-file', metrics, '--json']);
  expect(stderr).toBe('');
  return json as Record<string, unknown>;
}

/** The values of one command, by the name of the metric without its prefix. */
async function valuesOf(command: string): Promise<Readonly<Record<string, number>>> {
  const text = await readFile(metrics, 'utf8');
  const lines = text.matchAll(/^swingsnap_(\w+)\{command="(\w+)",name="night"\} (.+)$/gmu);
  const own = [...lines].filter(([, , of]) => of === command);
  return Object.fromEntries(own.map(([, metric = '', , value]) => [metric, Number(value)]));
}

describe('the commands of a night', { timeout: 60_000 }, () => {
  it('tell what they made, read and removed', async () => {
    await run('export --state-dir @S --export-dir @E');
    await run('retrieve --create --state-dir @S --snapshot-dir @D');
    const { exportData, artifacts, height } = (await run('verify @D')) as unknown as ExportSummary;
    const raw = { height, size_bytes: exportData.size + artifacts.size, last_run_exit_code: 0 };
    expect(await valuesOf('export')).toMatchObject(raw);
    expect(await valuesOf('verify')).toMatchObject(raw);

    const manifest = JSON.parse(
      await readFile(join(base, 'D', String(height), 'manifest.json'), 'utf8'),
    ) as { chunks: { size: number }; made: { at: string } };
    const chunks = { height, size_bytes: manifest.chunks.size };
    expect(await valuesOf('retrieve')).toMatchObject({
      ...chunks,
      newest_timestamp_seconds: Date.parse(manifest.made.at) / 1000,
    });
    await run('verify @D --quick');
    expect(await valuesOf('verify')).toMatchObject(chunks);

    await run('copy @D @P --create');
    expect(await valuesOf('copy')).toMatchObject(chunks);

    await run('restore @D --state-dir @N');
    const { size } = await stat(join(base, 'N/swingstore.sqlite'));
    expect(await valuesOf('restore')).toMatchObject({ height, size_bytes: size });

    const files = await readdir(join(base, 'E'));
    const sizes = await Promise.all(files.map(async (name) => stat(join(base, 'E', name))));
    const freed = sizes.reduce((sum, file) => sum + file.size, 0);
    expect(await run('discard --export-dir @E')).toMatchObject({
      files: files.length,
      size: freed,
    });
    expect(await valuesOf('discard')).toMatchObject({ freed_bytes: freed });
    expect(freed).toBeGreaterThan(0);
  });

  it('tell of a failure, and keep the last success', async () => {
    const before = await valuesOf('verify');
    await cp(join(base, 'D'), join(base, 'other'), { recursive: true });
    expect(await run('verify @other --height 3')).toMatchObject({ error: { exitCode: 5 } });
    const after = await valuesOf('verify');
    expect(after).toMatchObject({
      last_run_exit_code: 5,
      last_success_timestamp_seconds: before['last_success_timestamp_seconds'],
      height: before['height'],
    });
    expect(after['last_run_timestamp_seconds']).toBeGreaterThan(
      before['last_run_timestamp_seconds'] ?? Infinity,
    );
  });

  it.each(['verify @D --check', 'export --state-dir @S --export-dir @E --detach'])(
    'do not take it for a success that they did none of their work: %s',
    async (args) => {
      const before = await readFile(metrics, 'utf8');
      expect(await run(args)).toMatchObject({ error: { code: 'USAGE', exitCode: 2 } });
      expect(await readFile(metrics, 'utf8')).toBe(before);
    },
  );
});
