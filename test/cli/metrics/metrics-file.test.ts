import { execFileSync } from 'node:child_process';
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MetricsFile } from '../../../src/cli/metrics/metrics-file.ts';
import { useTempDir } from '../../fixtures/directories.ts';

const tempDir = useTempDir();

/** The samples of a file, by name and labels. Every line must be one that a collector takes. */
async function samplesOf(path: string): Promise<Record<string, number>> {
  const text = await readFile(path, 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  const samples: Record<string, number> = {};
  for (const line of text.split('\n')) {
    if (line === '' || /^# (?:HELP swingsnap_\w+ \S.*|TYPE swingsnap_\w+ gauge)$/u.test(line))
      continue;
    const [, key = '', value = ''] =
      /^(swingsnap_\w+\{command="[a-z]+",name="[^"\n]*"\}) ([\d.e+]+)$/u.exec(line) ?? [];
    expect(key, line).not.toBe('');
    expect(samples).not.toHaveProperty([key]);
    samples[key] = Number(value);
  }
  return samples;
}

const of = (metric: string, command = 'retrieve', name = 'night'): string =>
  `swingsnap_${metric}{command="${command}",name="${name}"}`;

describe('the metrics file', () => {
  it('has what a run that succeeded came to know, for all to read', async () => {
    const dir = await tempDir();
    const path = join(dir, 'night.prom');
    const began = Date.now() / 1000;
    const before = process.umask(0o077);
    try {
      const file = await MetricsFile.open(path, 'retrieve');
      expect(await readdir(dir)).toEqual([]);
      await file.write(0, { height: 7, size: 10, freed: 3, newestMadeAt: 1_700_000_000_500 });
    } finally {
      process.umask(before);
    }
    const samples = await samplesOf(path);
    expect(samples).toEqual({
      [of('last_success_timestamp_seconds')]: expect.any(Number) as number,
      [of('last_run_timestamp_seconds')]: samples[of('last_success_timestamp_seconds')],
      [of('last_run_duration_seconds')]: expect.any(Number) as number,
      [of('last_run_exit_code')]: 0,
      [of('height')]: 7,
      [of('size_bytes')]: 10,
      [of('freed_bytes')]: 3,
      [of('newest_timestamp_seconds')]: 1_700_000_000.5,
    });
    const success = samples[of('last_success_timestamp_seconds')] ?? 0;
    expect(success).toBeGreaterThanOrEqual(began);
    expect(success).toBeLessThanOrEqual(Date.now() / 1000);
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    expect(await readdir(dir)).toEqual(['night.prom']);
  });

  it('keeps the last success, and what was known then, when a run fails', async () => {
    const path = join(await tempDir(), 'night.prom');
    await (await MetricsFile.open(path, 'retrieve')).write(0, { height: 7, size: 10 });
    const first = await samplesOf(path);
    await (await MetricsFile.open(path, 'retrieve')).write(6, {});
    const second = await samplesOf(path);
    for (const metric of ['last_success_timestamp_seconds', 'height', 'size_bytes']) {
      expect(second[of(metric)]).toBe(first[of(metric)]);
    }
    expect(second[of('last_run_exit_code')]).toBe(6);
    expect(second[of('last_run_timestamp_seconds')]).toBeGreaterThan(
      first[of('last_run_timestamp_seconds')] ?? Infinity,
    );
  });

  it('says that a command has never succeeded', async () => {
    const path = join(await tempDir(), 'night.prom');
    await (await MetricsFile.open(path, 'retrieve')).write(1, {});
    expect((await samplesOf(path))[of('last_success_timestamp_seconds')]).toBe(0);
  });

  it('keeps what it says of other commands, and names the file', async () => {
    const path = join(await tempDir(), 'a "b"\\c.prom');
    await (await MetricsFile.open(path, 'retrieve')).write(0, { height: 7 });
    await (await MetricsFile.open(path, 'verify')).write(3, {});
    const text = await readFile(path, 'utf8');
    expect(text).toContain(String.raw`swingsnap_height{command="retrieve",name="a \"b\"\\c"} 7`);
    expect(text).toContain(String.raw`_exit_code{command="verify",name="a \"b\"\\c"} 3`);
  });

  it('is seen whole at every moment, and never by a collector before', async () => {
    const dir = await tempDir();
    const path = join(dir, 'night.prom');
    const names = new Set<string>();
    const over = new AbortController();
    const looking = (async () => {
      while (!over.signal.aborted) {
        for (const name of await readdir(dir)) names.add(name);
        const text = await readFile(path, 'utf8').catch(() => undefined);
        if (text !== undefined) expect(text).toMatch(/^swingsnap_height\{.*\} \d+\n$/mu);
      }
    })();
    const file = await MetricsFile.open(path, 'retrieve');
    for (let height = 0; height < 20; height += 1) await file.write(0, { height });
    over.abort();
    await looking;
    expect([...names].filter((name) => name.endsWith('.prom'))).toEqual(['night.prom']);
    expect(await readdir(dir)).toEqual(['night.prom']);
  });
});

describe('what is told before any work', () => {
  it.each(['night', 'night.txt', '.prom'])(
    'is a name that no collector reads: %s',
    async (name) => {
      const path = join(await tempDir(), name);
      await expect(MetricsFile.open(path, 'verify')).rejects.toMatchObject({
        code: 'METRICS_FILE',
        exitCode: 2,
        path,
      });
    },
  );

  it('is a directory that is not there, or is a file', async () => {
    const dir = await tempDir();
    await expect(MetricsFile.open(join(dir, 'no/night.prom'), 'verify')).rejects.toMatchObject({
      code: 'METRICS_DIR',
      exitCode: 5,
      path: join(dir, 'no'),
    });
    await writeFile(join(dir, 'file'), '');
    await expect(MetricsFile.open(join(dir, 'file/night.prom'), 'verify')).rejects.toMatchObject({
      code: 'NOT_A_DIRECTORY',
    });
    expect(await readdir(dir)).toEqual(['file']);
  });

  it.skipIf(process.geteuid?.() === 0)('is a directory that cannot be written', async () => {
    const dir = await tempDir();
    await chmod(dir, 0o555);
    await expect(MetricsFile.open(join(dir, 'night.prom'), 'verify')).rejects.toMatchObject({
      code: 'NOT_WRITABLE',
      exitCode: 6,
    });
  });

  it('is anything in its place that swingsnap has not written, which stays', async () => {
    const dir = await tempDir();
    const place = (name: string): string => join(dir, `${name}.prom`);
    await writeFile(place('other'), 'node_load1 0.5\n');
    await writeFile(place('large'), 'swingsnap_height 1\n'.repeat(5000));
    await symlink(place('other'), place('link'));
    await mkdir(place('dir'));
    execFileSync('mkfifo', [place('pipe')]);
    const found = {
      other: 'a file of another program',
      large: '95000 bytes',
      link: 'a symbolic link',
      dir: 'a directory',
      pipe: 'a pipe',
    };
    for (const [name, what] of Object.entries(found)) {
      await expect(MetricsFile.open(place(name), 'verify')).rejects.toMatchObject({
        code: 'METRICS_FILE',
        exitCode: 6,
        path: place(name),
        found: what,
      });
    }
    expect(await readFile(place('other'), 'utf8')).toBe('node_load1 0.5\n');
  });
});

describe('a metrics file that is replaced while the command works', () => {
  it('stays as it is', async () => {
    const path = join(await tempDir(), 'night.prom');
    const file = await MetricsFile.open(path, 'verify');
    await writeFile(path, 'node_load1 0.5\n');
    await utimes(path, 1, 1);
    await expect(file.write(0, {})).rejects.toMatchObject({ code: 'METRICS_FILE' });
    expect((await stat(path)).mtimeMs).toBe(1000);
  });
});
