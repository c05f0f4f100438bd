/** Changes of the manifest, and of the requested mode. */
import { RESTORE_MODES } from '../../src/swing-store-export/artifact-mode.ts';
import type { ExportFiles } from './export-files.ts';
import type { Mutation } from './mutation.ts';

const HEAP = 'snapshot.v1.9';
const OLD_HEAP = 'snapshot.v1.7';

/** Moves a file, and makes the manifest say so. */
const moveArtifact = (f: ExportFiles, name: string, file: string, says = file): void => {
  f.files.set(file, f.files.get(name)!);
  f.files.delete(name);
  f.refileArtifact(name, says);
};

const field = (
  name: string,
  value: unknown,
  rest: Pick<Mutation, 'verdict' | 'exception'>,
): Mutation => ({
  what: `${name} ${value === undefined ? 'absent' : JSON.stringify(value)}${Object.is(value, -0) ? ' (minus zero)' : ''}`,
  ...rest,
  change: (f) => {
    if (value === undefined) Reflect.deleteProperty(f.manifest, name);
    else f.manifest[name] = value;
  },
});

const refused = { verdict: 'refused' } as const;
const accepted = { verdict: 'accepted' } as const;

const heights: Mutation[] = [
  field('blockHeight', undefined, { exception: 'no height in the manifest' }),
  field('blockHeight', null, refused),
  field('blockHeight', '77', refused),
  field('blockHeight', true, refused),
  field('blockHeight', [77], refused),
  field('blockHeight', 0, accepted),
  field('blockHeight', -0, accepted),
  field('blockHeight', 78, accepted),
  field('blockHeight', Number.MAX_SAFE_INTEGER, accepted),
  field('blockHeight', -1, { exception: 'no block height' }),
  field('blockHeight', 1.5, { exception: 'no block height' }),
  field('blockHeight', 1e21, { exception: 'no block height' }),
];

const modes: Mutation[] = [
  ...[null, '', 'all', 'Operational', 5, ['operational']].map((mode) =>
    field('artifactMode', mode, refused),
  ),
  ...(['none', 'operational', 'replay', 'archival', 'debug', undefined] as const).flatMap((held) =>
    [undefined, ...RESTORE_MODES].map((mode): Mutation => ({
      what: `artifactMode ${held ?? 'absent'} on debug artifacts, asked for ${mode ?? 'nothing'}`,
      base: 'debug',
      ...(mode === undefined ? {} : { mode }),
      change: field('artifactMode', held, {}).change,
    })),
  ),
  ...(['archival', 'debug', undefined] as const).map((held): Mutation => ({
    what: `artifactMode ${held ?? 'absent'} on operational artifacts, asked for archival`,
    mode: 'archival',
    verdict: 'refused',
    change: field('artifactMode', held, {}).change,
  })),
];

const data: Mutation[] = [
  field('data', undefined, refused),
  field('data', null, refused),
  field('data', '', refused),
  field('data', 5, refused),
  field('data', 'missing.jsonl', refused),
  field('data', 'export-manifest.json', refused),
  field('data', './export-data.jsonl', accepted),
  field('data', 'x/../export-data.jsonl', accepted),
  field('data', '../E/export-data.jsonl', accepted),
  field('data', '../export-data.jsonl', refused),
  {
    what: 'data in a sibling directory whose name begins alike',
    exception: 'path outside the export',
    change: (f) => {
      f.files.set('../E-evil/export-data.jsonl', f.data);
      f.manifest['data'] = '../E-evil/export-data.jsonl';
    },
  },
  field('data', '/etc/hostname', refused),
  field('data', 'export-data.jsonl\0', refused),
  {
    what: 'data under another name',
    ...accepted,
    change: (f) => {
      f.files.set('sub/\u2028 .data', f.data);
      f.manifest['data'] = 'sub/\u2028 .data';
    },
  },
  {
    what: 'data that is also an artifact',
    ...refused,
    change: (f) => {
      f.refileArtifact(HEAP, 'export-data.jsonl');
    },
  },
];

const lists: Mutation[] = [
  ...[undefined, null, [], {}, { length: 1 }, '', 'ab', 5, true].map((value) =>
    field('artifacts', value, refused),
  ),
  ...[null, 5, 'x', [], {}, [5, 'x'], [null, 'x'], [['x'], 'x']].map((value): Mutation => ({
    what: `a list entry ${JSON.stringify(value)}`,
    ...refused,
    change: (f) => {
      (f.manifest.artifacts as unknown[]).push(value);
    },
  })),
  ...[[OLD_HEAP], [OLD_HEAP, null], [OLD_HEAP, 5], { 0: OLD_HEAP, 1: 'x' }].map(
    (value): Mutation => ({
      what: `a list entry ${JSON.stringify(value)} that is not read`,
      exception: 'another type',
      change: (f) => {
        (f.manifest.artifacts as unknown[]).push(value);
      },
    }),
  ),
  ...[[HEAP], [HEAP, 5]].map((value): Mutation => ({
    what: `a list entry ${JSON.stringify(value)} that is needed`,
    ...refused,
    change: (f) => {
      f.dropArtifact(HEAP);
      (f.manifest.artifacts as unknown[]).push(value);
    },
  })),
  {
    what: 'a list entry of three',
    ...accepted,
    change: (f) => {
      (f.manifest.artifacts as unknown[])[0] = [...f.manifest.artifacts[0]!, 'third'];
    },
  },
  {
    what: 'a list entry without a file name that is not read',
    ...accepted,
    change: (f) => {
      f.manifest.artifacts.push([OLD_HEAP, '']);
    },
  },
  {
    what: 'a list entry with a missing file that is not read',
    ...accepted,
    change: (f) => {
      f.manifest.artifacts.push([OLD_HEAP, 'missing']);
    },
  },
  {
    what: 'a file under another name, in a directory',
    ...accepted,
    change: (f) => {
      moveArtifact(f, HEAP, 'a/b/0-\u{1f600} heap');
    },
  },
  {
    what: 'a file reached through ..',
    ...accepted,
    change: (f) => {
      moveArtifact(f, HEAP, 'heap', 'x/../heap');
    },
  },
  {
    what: 'a file reached through the directory above',
    ...accepted,
    change: (f) => {
      moveArtifact(f, HEAP, 'heap', '../E/heap');
    },
  },
  {
    what: 'one file for two artifacts',
    ...refused,
    change: (f) => {
      f.refileArtifact(HEAP, 'snapshot.v2.1');
    },
  },
  {
    what: 'a file in a sibling directory whose name begins alike',
    exception: 'path outside the export',
    change: (f) => {
      moveArtifact(f, HEAP, '../E-evil/heap');
    },
  },
  {
    what: 'a file far above',
    ...refused,
    change: (f) => {
      f.refileArtifact(HEAP, '../../../../../../../../../../etc/hostname');
    },
  },
  ...['../x', '/etc/passwd', 'x\0', '../E-evil/x'].map((file): Mutation => ({
    what: `an artifact that is not read, in ${JSON.stringify(file)}`,
    exception: 'path outside the export',
    change: (f) => {
      f.manifest.artifacts.push([OLD_HEAP, file]);
    },
  })),
  ...['/', '.', '..', 'a\\b', 'v 1', 'v\t', 'v\u0007', 'v\u0085', 'v\u2028', '\ufeffv'].map(
    (id): Mutation => ({
      what: `a historical heap snapshot of ${JSON.stringify(id)}, with its record`,
      ...(id.includes('.') ? refused : { exception: 'hostile id' }),
      change: (f) => {
        f.add(['snapshot.x.1', JSON.stringify({ vatID: id, snapPos: 1, hash: 'x', inUse: 0 })]);
        f.manifest.artifacts.push([`snapshot.${id}.1`, 'x']);
      },
    }),
  ),
];

const texts: Mutation[] = [
  ...['', '{', 'null', '5', '[]', '"x"', '{}'].map((text): Mutation => ({
    what: `manifest ${JSON.stringify(text)}`,
    ...refused,
    change: (f) => {
      f.rawManifest = text;
    },
  })),
  {
    what: 'manifest with a byte order mark',
    ...refused,
    change: (f) => {
      f.rawManifest = `\ufeff${JSON.stringify(f.manifest)}`;
    },
  },
  {
    what: 'manifest in one line',
    ...accepted,
    change: (f) => {
      f.rawManifest = JSON.stringify(f.manifest);
    },
  },
  {
    what: 'manifest with unknown keys',
    ...accepted,
    change: (f) => {
      f.rawManifest = JSON.stringify({ version: 9, ...f.manifest, more: {} });
    },
  },
  {
    what: 'manifest with a repeated key: the last one counts',
    ...accepted,
    change: (f) => {
      f.rawManifest = JSON.stringify(f.manifest).replace('{', '{"blockHeight":5,');
    },
  },
];

/** Exports that need no artifacts: keys, and records of a terminated vat. */
const keysOnly: Mutation[] = (['none', 'operational'] as const).flatMap((base): Mutation[] =>
  [undefined, null, []].map((artifacts) => ({
    what: `keys only, artifacts ${artifacts === undefined ? 'absent' : JSON.stringify(artifacts)}, mode ${base}`,
    base,
    exception: 'keys only',
    change: (f) => {
      f.lines = f.lines.filter((line) => /^\["(?:kv|snapshot\.v3|transcript\.v3)\./.test(line));
      field('artifacts', artifacts, {}).change(f);
    },
  })),
);

export const manifestMutations: readonly Mutation[] = [
  ...heights,
  ...modes,
  ...data,
  ...lists,
  ...texts,
  ...keysOnly,
];
