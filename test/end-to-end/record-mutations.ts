/** Changes of records: the entries of the export data that validate artifacts. */
import type { ExportFiles } from './export-files.ts';
import type { Mutation } from './mutation.ts';

const HEAP = 'snapshot.v1.9';
const OLD_HEAP = 'snapshot.v1.7';
const SPAN = 'transcript.v1.current';
const OLD_SPAN = 'transcript.v1.5';
const ZEROS = '0'.repeat(64);

type Change = (files: ExportFiles) => void;
const accepted = (what: string, change: Change): Mutation => ({
  what,
  verdict: 'accepted',
  change,
});
const refused = (what: string, change: Change): Mutation => ({ what, verdict: 'refused', change });
const differs = (exception: NonNullable<Mutation['exception']>, what: string, change: Change) => ({
  what,
  exception,
  change,
});

/** A change of a record's properties, and the verdict of both or the exception. */
type PropertyCase = readonly [
  verdict: 'accepted' | 'refused' | NonNullable<Mutation['exception']>,
  key: string,
  change: Readonly<Record<string, unknown>>,
];

const property = ([verdict, key, change]: PropertyCase): Mutation => {
  const spelled = Object.entries(change).map(([name, value]) => `${name} ${JSON.stringify(value)}`);
  const what = `${key} with ${spelled.join(', ')}`;
  const apply: Change = (f) => {
    f.record(key, change);
  };
  if (verdict === 'accepted') return accepted(what, apply);
  if (verdict === 'refused') return refused(what, apply);
  return differs(verdict, what, apply);
};

const heapProperties: readonly PropertyCase[] = [
  ['refused', HEAP, { hash: ZEROS }],
  ['accepted', OLD_HEAP, { hash: ZEROS }],
  ['refused', HEAP, { hash: '' }],
  ['refused', HEAP, { hash: null }],
  ['refused', OLD_HEAP, { hash: undefined }],
  ['refused', OLD_HEAP, { hash: true }],
  ['refused', OLD_HEAP, { hash: {} }],
  ['another type', OLD_HEAP, { hash: 5 }],
  ['refused', HEAP, { vatID: 'v2' }],
  ['accepted', OLD_HEAP, { vatID: 'v2' }],
  ['refused', OLD_HEAP, { vatID: '' }],
  ['refused', OLD_HEAP, { vatID: undefined }],
  ['refused', OLD_HEAP, { vatID: null }],
  ['refused', OLD_HEAP, { vatID: true }],
  ['hostile id', OLD_HEAP, { vatID: 5 }],
  ['hostile id', OLD_HEAP, { vatID: 'v1.x' }],
  ['hostile id', OLD_HEAP, { vatID: 'v1.current' }],
  ['hostile id', OLD_HEAP, { vatID: '/../x' }],
  ['hostile id', OLD_HEAP, { vatID: 'v 1' }],
  ['hostile id', OLD_HEAP, { vatID: 'v\u2028' }],
  ['hostile id', OLD_HEAP, { vatID: 'x'.repeat(300) }],
  ['refused', HEAP, { snapPos: 8 }],
  ['accepted', OLD_HEAP, { snapPos: 8 }],
  ['refused', OLD_HEAP, { snapPos: 9 }],
  ['refused', OLD_HEAP, { snapPos: undefined }],
  ['refused', OLD_HEAP, { snapPos: true }],
  ['accepted', HEAP, { snapPos: '9' }],
  ['accepted', HEAP, { snapPos: '09' }],
  ['accepted', HEAP, { snapPos: ' 9\n' }],
  ['accepted', HEAP, { snapPos: '+9.0' }],
  ['accepted', HEAP, { snapPos: '90e-1' }],
  ['accepted', OLD_HEAP, { snapPos: 0 }],
  ['no position', OLD_HEAP, { snapPos: null }],
  ['no position', OLD_HEAP, { snapPos: -1 }],
  ['no position', OLD_HEAP, { snapPos: 7.5 }],
  ['no position', OLD_HEAP, { snapPos: 1e300 }],
  ['no position', OLD_HEAP, { snapPos: '0x7' }],
  ['no position', OLD_HEAP, { snapPos: '' }],
  ['no position', OLD_HEAP, { snapPos: 'seven' }],
  ['refused', HEAP, { inUse: undefined }],
  ['accepted', HEAP, { inUse: 0 }],
  ['accepted', HEAP, { inUse: null }],
  ['accepted', HEAP, { inUse: '' }],
  ['accepted', HEAP, { inUse: true }],
  ['accepted', HEAP, { inUse: '0' }],
  ['accepted', HEAP, { inUse: 2 }],
  ['accepted', HEAP, { inUse: {} }],
  ['refused', OLD_HEAP, { inUse: 1 }],
  ['refused', 'snapshot.v3.1', { inUse: 1 }],
  ['accepted', HEAP, { extra: 1 }],
];

const spanProperties: readonly PropertyCase[] = [
  ['refused', SPAN, { hash: ZEROS }],
  ['accepted', OLD_SPAN, { hash: ZEROS }],
  ['refused', SPAN, { hash: '' }],
  ['refused', OLD_SPAN, { hash: null }],
  ['refused', SPAN, { hash: 5 }],
  ['another type', OLD_SPAN, { hash: 5 }],
  ['refused', OLD_SPAN, { vatID: 'v2' }],
  ['refused', OLD_SPAN, { vatID: undefined }],
  ['refused', SPAN, { vatID: 'v2' }],
  ['refused', OLD_SPAN, { vatID: 5 }],
  ['refused', SPAN, { startPos: 8 }],
  ['refused', SPAN, { startPos: 10 }],
  ['refused', OLD_SPAN, { startPos: 6 }],
  ['refused', OLD_SPAN, { startPos: '5' }],
  ['accepted', SPAN, { startPos: '9' }],
  ['accepted', SPAN, { startPos: '9.0', endPos: ' 11' }],
  ['refused', SPAN, { startPos: '0x9' }],
  ['refused', SPAN, { startPos: null }],
  ['refused', SPAN, { startPos: undefined }],
  ['refused', SPAN, { startPos: -1 }],
  ['refused', SPAN, { endPos: 10 }],
  ['refused', SPAN, { endPos: 12 }],
  ['refused', SPAN, { endPos: 9 }],
  ['refused', SPAN, { endPos: 5 }],
  ['accepted', SPAN, { endPos: '11' }],
  ['refused', SPAN, { endPos: undefined }],
  ['accepted', OLD_SPAN, { endPos: 6 }],
  ['accepted', OLD_SPAN, { endPos: 100 }],
  ['accepted', OLD_SPAN, { endPos: 4 }],
  ['accepted', OLD_SPAN, { endPos: '7' }],
  ['no position', OLD_SPAN, { endPos: null }],
  ['no position', OLD_SPAN, { endPos: -1 }],
  ['no position', OLD_SPAN, { endPos: 6.5 }],
  ['no position', OLD_SPAN, { endPos: 'x' }],
  ['refused', SPAN, { isCurrent: 0 }],
  ['refused', SPAN, { isCurrent: null }],
  ['refused', SPAN, { isCurrent: undefined }],
  ['accepted', SPAN, { isCurrent: true }],
  ['accepted', SPAN, { isCurrent: '0' }],
  ['refused', OLD_SPAN, { isCurrent: 1 }],
  ['accepted', OLD_SPAN, { isCurrent: null }],
  ['accepted', OLD_SPAN, { isCurrent: false }],
  ['accepted', OLD_SPAN, { isCurrent: '' }],
  ['refused', OLD_SPAN, { isCurrent: undefined }],
  ['accepted', SPAN, { incarnation: 0 }],
  ['accepted', SPAN, { incarnation: 7 }],
  ['accepted', SPAN, { incarnation: '1' }],
  ['refused', SPAN, { incarnation: undefined }],
  ['refused', SPAN, { incarnation: true }],
  ['no position', SPAN, { incarnation: null }],
  ['no position', SPAN, { incarnation: -1 }],
  ['no position', SPAN, { incarnation: 1.5 }],
  ['no position', SPAN, { incarnation: 'x' }],
  ['accepted', SPAN, { extra: [] }],
];

const reordered = (text: string): string => {
  const record = JSON.parse(text) as Record<string, unknown>;
  return JSON.stringify(Object.fromEntries(Object.entries(record).reverse()));
};

const texts: Mutation[] = [HEAP, SPAN, OLD_SPAN].flatMap((key) => [
  accepted(`${key} with its properties reversed`, (f) => {
    f.recordText(key, reordered);
  }),
  accepted(`${key} with spaces`, (f) => {
    f.recordText(key, (text) => JSON.stringify(JSON.parse(text), null, 2));
  }),
  accepted(`${key} with a repeated property: the last one counts`, (f) => {
    f.recordText(key, (text) => text.replace('{', '{"hash":"x",'));
  }),
  accepted(`${key} with numbers in other spellings`, (f) => {
    f.recordText(key, (text) => text.replaceAll(/:(\d+)(?=[,}])/g, ':$1.0'));
  }),
  accepted(`${key} with escapes`, (f) => {
    f.recordText(key, (text) => text.replace('vatID', '\\u0076atID'));
  }),
  ...(key === SPAN ? [] : ['', 'null', '5', '[]', '{}', '{', '\ufeff{}']).map((value) =>
    refused(`${key} with the value ${JSON.stringify(value)}`, (f) => {
      f.set(key, value);
    }),
  ),
  refused(`${key} taken out`, (f) => {
    f.drop(key);
    if (key === OLD_SPAN) f.addArtifact('transcript.v1.5.7', '');
  }),
  refused(`${key} deleted by null`, (f) => {
    f.add([key, null]);
    if (key === OLD_SPAN) f.addArtifact('transcript.v1.5.7', '');
  }),
  accepted(`${key} deleted and set again`, (f) => {
    const value = f.value(key);
    f.add([key, null], [key, value]);
  }),
  refused(`${key} again at the end, with a wrong value`, (f) => {
    f.add([key, '{}']);
  }),
  accepted(`${key} first with a wrong value`, (f) => {
    f.prepend(JSON.stringify([key, '{}']));
  }),
  differs('another type', `${key} as an array of its text`, (f) => {
    f.set(key, [f.value(key)]);
  }),
]);

const current: Mutation[] = [
  accepted('.current of a heap snapshot missing', (f) => {
    f.drop('snapshot.v1.current');
  }),
  accepted('.current of a heap snapshot that names another', (f) => {
    f.set('snapshot.v1.current', 'snapshot.v1.7');
  }),
  accepted('.current of a heap snapshot that is empty', (f) => {
    f.set('snapshot.v1.current', '');
  }),
  accepted('.current of a heap snapshot of an unknown vat', (f) => {
    f.add(['snapshot.v99.current', 'snapshot.v99.1']);
  }),
  accepted('.current of a heap snapshot with more parts after it', (f) => {
    f.add(['snapshot.v99.current.x', 'whatever']);
  }),
  accepted('a heap snapshot under another key', (f) => {
    const value = f.value(HEAP);
    f.drop(HEAP);
    f.add(['snapshot.any.thing', value]);
  }),
  accepted('a heap snapshot under a key without a position', (f) => {
    const value = f.value(HEAP);
    f.drop(HEAP);
    f.add(['snapshot', value]);
  }),
  refused('a heap snapshot under two keys', (f) => {
    f.add(['snapshot.v1.1000', f.value(HEAP)]);
  }),
  refused('two heap snapshots of one vat in use', (f) => {
    f.record(OLD_HEAP, { inUse: 1 });
    f.addArtifact('snapshot.v1.7', '');
  }),
  accepted('a vat without a heap snapshot in use', (f) => {
    f.record(HEAP, { inUse: 0 });
    f.drop('snapshot.v1.current');
  }),
  refused('a heap snapshot of a terminated vat in use, without its artifact', (f) => {
    f.record('snapshot.v3.1', { inUse: 1 });
  }),
  refused('two current spans of one vat', (f) => {
    f.add(['transcript.v1.11.current', f.value(SPAN).replace('"startPos":9', '"startPos":11')]);
  }),
  refused('a current span under its number', (f) => {
    const value = f.value(SPAN);
    f.drop(SPAN);
    f.add(['transcript.v1.9', value]);
  }),
  accepted('a current span under its number and .current', (f) => {
    const value = f.value(SPAN);
    f.drop(SPAN);
    f.add(['transcript.v1.9.current', value]);
  }),
  refused('a current span under another number and .current', (f) => {
    const value = f.value(SPAN);
    f.drop(SPAN);
    f.add(['transcript.v1.8.current', value]);
  }),
  refused('a span as current and as historical', (f) => {
    f.add(['transcript.v1.9', f.value(SPAN).replace('"isCurrent":1', '"isCurrent":0')]);
  }),
  accepted('a historical span under another spelling of its number', (f) => {
    const value = f.value(OLD_SPAN);
    f.drop(OLD_SPAN);
    f.add(['transcript.v1.05', value]);
  }),
  accepted('a historical span whose key has more parts', (f) => {
    const value = f.value(OLD_SPAN);
    f.drop(OLD_SPAN);
    f.add(['transcript.v1.5.x.y', value]);
  }),
  refused('a span at 0 under a key without a number', (f) => {
    const value = f.value('transcript.v1.0');
    f.drop('transcript.v1.0');
    f.add(['transcript.v1', value]);
  }),
  accepted('a span at 0 under an empty number', (f) => {
    const value = f.value('transcript.v1.0');
    f.drop('transcript.v1.0');
    f.add(['transcript.v1.', value]);
  }),
  refused('a span under a key without a vat', (f) => {
    f.add(['transcript', f.value(OLD_SPAN)]);
  }),
  refused('a historical span under two keys', (f) => {
    f.add(['transcript.v1.05', f.value(OLD_SPAN)]);
  }),
  refused('an empty current span with another start', (f) => {
    f.record('transcript.v2.current', { startPos: 0 });
  }),
  {
    what: 'no current span of a vat with history, mode replay',
    base: 'debug',
    mode: 'replay',
    verdict: 'refused',
    change: (f) => {
      f.drop(SPAN);
      f.dropArtifact('transcript.v1.9.11');
    },
  },
  {
    what: 'artifacts of a terminated vat, mode replay',
    base: 'debug',
    mode: 'replay',
    change: () => undefined,
  },
  ...(['operational', 'replay', 'archival', 'debug'] as const).flatMap((mode): Mutation[] => [
    {
      what: `the current span in another incarnation, mode ${mode}`,
      base: 'archival',
      mode,
      change: (f) => {
        f.record(SPAN, { incarnation: 2 });
      },
    },
    {
      what: `the current span in the first incarnation, mode ${mode}`,
      base: 'archival',
      mode,
      change: (f) => {
        f.record(SPAN, { incarnation: 0 });
      },
    },
    {
      what: `a gap in the history, mode ${mode}`,
      base: 'archival',
      mode,
      change: (f) => {
        f.drop('transcript.v1.5');
        f.dropArtifact('transcript.v1.5.7');
      },
    },
    {
      what: `a historical span without items across others, mode ${mode}`,
      base: 'archival',
      mode,
      change: (f) => {
        f.record('transcript.v1.3', { endPos: 8 });
        f.dropArtifact('transcript.v1.3.5');
      },
    },
    {
      what: `spans that overlap, both with items, mode ${mode}`,
      base: 'archival',
      mode,
      change: (f) => {
        f.record('transcript.v1.3', {
          startPos: 2,
          hash: f.value('transcript.v1.3').slice(41, 105),
        });
      },
    },
    {
      what: `the first span gone, mode ${mode}`,
      base: 'archival',
      mode,
      change: (f) => {
        f.drop('transcript.v1.0');
        f.dropArtifact('transcript.v1.0.3');
      },
    },
  ]),
];

const bundles: Mutation[] = [
  ...[
    ['bundle.b0-other', 'b0-other'],
    ['bundle.', ''],
    ['bundle', ''],
    ['bundle.b0-x.y', 'b0-x.y'],
    ['bundle.b0-x', 'b0-y'],
    ['bundle.b9-x', 'b9-x'],
  ].map(([key, value]) =>
    refused(`bundle record ${JSON.stringify([key, value])}`, (f) => {
      f.add([key!, value]);
    }),
  ),
  refused('bundle record taken out', (f) => {
    f.lines = f.lines.filter((line) => !line.startsWith('["bundle.'));
  }),
  refused('bundle record as an array', (f) => {
    const at = f.lines.findIndex((line) => line.startsWith('["bundle.'));
    f.lines = f.lines.map((line, i) => (i === at ? line.replace(/,(.*)\]/, ',[$1]]') : line));
  }),
  accepted('a bundle set and deleted', (f) => {
    f.add(['bundle.b0-x', 'b0-x'], ['bundle.b0-x']);
  }),
  accepted('bundle record and artifact taken out', (f) => {
    f.lines = f.lines.filter((line) => !line.startsWith('["bundle.'));
    f.dropArtifact([...f.files.keys()].find((name) => name.startsWith('bundle.'))!);
  }),
];

export const recordMutations: readonly Mutation[] = [
  ...heapProperties.map(property),
  ...spanProperties.map(property),
  ...texts,
  ...current,
  ...bundles,
];
