/** Manifests that do not match the snapshot, or are not in canonical form. */
import { artifactChunk, type Case } from './case.ts';
import { sha256 } from './forge.ts';

const MIB = 1024 * 1024;

/** The hashed text of a module `wasm` without byte code. */
const EMPTY_WASM = '["swingsnap-module",1,"wasm"]\n';

const fieldsOf = (kind: string) => ({
  kind,
  contentHash: '0'.repeat(64),
  artifacts: { count: 0, size: 0 },
});

export const manifests: readonly Case[] = [
  ...(
    [
      ['contentHash', 'HASH_MISMATCH'],
      ['contentHash', 'SNAPSHOT_DAMAGED', 'A'.repeat(64)],
      ['contentHash', 'SNAPSHOT_DAMAGED', null],
      ['height', 'SNAPSHOT_DAMAGED', -1],
      ['height', 'SNAPSHOT_DAMAGED', 7.5],
      ['height', 'SNAPSHOT_DAMAGED', 2 ** 53],
      ['height', 'SNAPSHOT_DAMAGED', '7'],
      ['height', 'SNAPSHOT_DAMAGED', 1e300],
      ['height', 'HASH_MISMATCH', 8],
      ['version', 'SNAPSHOT_VERSION', 3],
      ['version', 'SNAPSHOT_VERSION', 1.5],
      ['version', 'SNAPSHOT_DAMAGED', '1'],
      ['format', 'SNAPSHOT_DAMAGED', 'other'],
      ['more', 'SNAPSHOT_DAMAGED', 1],
      ['modules', 'SNAPSHOT_DAMAGED', {}],
      ['modules', 'SNAPSHOT_DAMAGED', []],
      ['made', 'SNAPSHOT_DAMAGED', undefined],
    ] as const
  ).map(([field, code, value]): Case => [
    `${field} ${value === undefined ? 'changed' : JSON.stringify(value).slice(0, 20)}`,
    code,
    (draft) => {
      draft.manifest = (manifest) => {
        (manifest as Record<string, unknown>)[field] =
          field === 'contentHash' && value === undefined ? '0'.repeat(64) : value;
      };
    },
  ]),
  ...(['exportDataHash', 'operationalHash'] as const).map((field): Case => [
    `${field} changed`,
    'HASH_MISMATCH',
    (draft) => {
      draft.manifest = (manifest) => {
        manifest.modules.swingset[field] = '0'.repeat(64);
      };
    },
  ]),
  ...(
    [
      ['entries', 'count'],
      ['entries', 'size'],
      ['chunks', 'count'],
      ['chunks', 'size'],
    ] as const
  ).flatMap(([where, field]) =>
    [-1, 1].map((step): Case => [
      `${where}.${field} changed by ${step}`,
      'SNAPSHOT_DAMAGED',
      (draft) => {
        draft.manifest = (manifest) => {
          (manifest[where] as Record<string, number>)[field]! += step;
        };
      },
    ]),
  ),
  ...(
    [
      ['exportData', 'entries'],
      ['exportData', 'size'],
      ['artifacts', 'count'],
      ['artifacts', 'size'],
    ] as const
  ).flatMap(([where, field]) =>
    [-1, 1].map((step): Case => [
      `${where}.${field} changed by ${step}`,
      'SNAPSHOT_DAMAGED',
      (draft) => {
        draft.manifest = (manifest) => {
          (manifest.modules.swingset[where] as Record<string, number>)[field]! += step;
        };
      },
    ]),
  ),
  [
    'an unknown module',
    'UNKNOWN_MODULE',
    (draft) => {
      draft.manifest = (manifest) => {
        manifest.modules['other'] = fieldsOf('strange');
      };
    },
  ],
  [
    'a module without a kind',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.manifest = (manifest) => {
        manifest.modules['wasm'] = {};
      };
    },
  ],
  [
    'another module instead of swingset',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.manifest = (manifest) => {
        Object.assign(manifest, { modules: { wasm: fieldsOf('wasm') } });
      };
    },
  ],
  [
    'a module without entries',
    'HASH_MISMATCH',
    (draft) => {
      draft.manifest = (manifest) => {
        manifest.modules['wasm'] = { ...fieldsOf('wasm'), contentHash: sha256(EMPTY_WASM) };
      };
    },
  ],
  ...['Wasm', '../wasm', 'a/b', '', 'x'.repeat(33)].map((name): Case => [
    `a module named ${JSON.stringify(name)}`,
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.manifest = (manifest) => {
        manifest.modules[name] = fieldsOf('wasm');
      };
    },
  ]),
  [
    'too many modules',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.manifest = (manifest) => {
        for (let i = 0; i < 16; i += 1) manifest.modules[`wasm${i}`] = fieldsOf('wasm');
      };
    },
  ],
  [
    'a newer version that has no modules',
    'SNAPSHOT_VERSION',
    (draft) => {
      draft.text = () => '{"format":"swingsnap-snapshot","version":3}';
    },
  ],
  [
    'an artifact mode that asks for more',
    'INCOMPLETE',
    (draft) => {
      // Without its history.
      artifactChunk(draft).entries = artifactChunk(draft).entries.filter(
        ({ name }) => !name.endsWith('.0.2'),
      );
    },
  ],
  [
    'artifacts, but the mode none',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.manifest = (manifest) => {
        manifest.modules.swingset.artifactMode = 'none';
      };
    },
  ],
  [
    'an unknown artifact mode',
    'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.manifest = (manifest) => {
        manifest.modules.swingset.artifactMode = 'all';
      };
    },
  ],
  ...(
    [
      ['the wrong indentation', (text: string) => text.replaceAll('  ', ' ')],
      ['no newline at its end', (text: string) => text.trimEnd()],
      ['a byte order mark', (text: string) => `\ufeff${text}`],
      ['a field twice', (text: string) => text.replace('  "height"', '  "height": 9,\n  "height"')],
      [
        'a number in another spelling',
        (text: string) => text.replace('"height": 7', '"height": 7.0'),
      ],
      ['a height of minus 0', (text: string) => text.replace('"height": 7', '"height": -0')],
      ['more than 1 MiB', (text: string) => text + ' '.repeat(MIB)],
      ['only half of it', (text: string) => text.slice(0, text.length / 2)],
      ['null instead of an object', () => 'null\n'],
      ['nothing', () => ''],
    ] as const
  ).map(([what, change]): Case => [
    `a manifest with ${what}`,
    what === 'more than 1 MiB' ? 'FILE_TOO_LARGE' : 'SNAPSHOT_DAMAGED',
    (draft) => {
      draft.text = (manifest) => change(`${JSON.stringify(manifest, null, 2)}\n`);
    },
  ]),
];
