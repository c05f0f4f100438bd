/** A discard that asks an export to stop while its processes stand still, so that no timer of theirs sees it in time. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { closeReference } from '../fixtures/reference.ts';
import { runFaulty } from './faults.ts';
import { makeTemplate, scenes, setScene, type Template } from './scenes.ts';

const tempDir = useTempDir('file');
let template: Template;
let dir: string;

beforeAll(async () => {
  dir = await tempDir();
  template = await makeTemplate(join(dir, 'template'));
});
afterAll(closeReference);

describe.each(['export', 'export --from'])('%s that is asked to stop', (name) => {
  const scene = scenes.find((one) => one.name === name)!;

  it.each(['before', 'after'] as const)(
    'just %s its manifest gets its name ends as discarded',
    async (when) => {
      const place = await setScene(join(dir, 'place'), scene, template);
      const { steps } = await runFaulty(place, scene.args);
      const isPublishing = (to = ''): boolean => to.endsWith('/export-manifest.json');
      const { n: at } = steps.find(({ role, to }) => role === scene.role && isPublishing(to))!;

      await setScene(join(dir, 'place'), scene, template);
      const stopFile = join(place.root, 'export', '.swingsnap-stop');
      const told = await runFaulty(place, [...scene.args, '--json'], {
        ...{ type: 'run', role: scene.role, at, when },
        steps: [['writeFileSync', stopFile, '']],
      });
      expect(told).toMatchObject({ exitCode: 1, json: { error: { code: 'DISCARDED' } } });
      expect(existsSync(join(place.root, 'export'))).toBe(false);
    },
  );
});
