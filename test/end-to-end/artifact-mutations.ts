/** Changes of artifacts: their files, their bytes, their names. */
import type { Mutation } from './mutation.ts';

const HEAP = 'snapshot.v1.9';
const OLD_HEAP = 'snapshot.v1.7';
const SPAN = 'transcript.v1.9.11';
const OLD_SPAN = 'transcript.v1.5.7';
const EMPTY_SPAN = 'transcript.v2.1.1';

const flip = (bytes: Buffer): Buffer => {
  const changed = Buffer.from(bytes);
  changed[bytes.length >> 1]! ^= 1;
  return changed;
};

const firstBundle = (names: Iterable<string>): string =>
  [...names].find((name) => name.startsWith('bundle.'))!;

/** The same change of an artifact in use, and of a historical one in a mode that needs it and in one that does not. */
const neededAndNot = (
  what: string,
  needed: string,
  not: string,
  change: (files: Parameters<Mutation['change']>[0], name: string) => void,
): Mutation[] => [
  {
    what: `${what}: one in use`,
    verdict: 'refused',
    change: (f) => {
      change(f, needed);
    },
  },
  {
    what: `${what}: a historical one, mode debug`,
    base: 'debug',
    verdict: 'refused',
    change: (f) => {
      change(f, not);
    },
  },
  {
    what: `${what}: a historical one, asked for operational`,
    base: 'debug',
    mode: 'operational',
    verdict: 'accepted',
    change: (f) => {
      change(f, not);
    },
  },
];

const content: Mutation[] = [
  ...neededAndNot('heap snapshot flipped', HEAP, OLD_HEAP, (f, n) => {
    f.artifact(n, flip);
  }),
  ...neededAndNot('heap snapshot truncated', HEAP, OLD_HEAP, (f, n) => {
    f.artifact(n, (b) => b.subarray(0, -1));
  }),
  ...neededAndNot('heap snapshot extended', HEAP, OLD_HEAP, (f, n) => {
    f.artifact(n, (b) => Buffer.concat([b, Buffer.from('x')]));
  }),
  ...neededAndNot('heap snapshot emptied', HEAP, OLD_HEAP, (f, n) => {
    f.artifact(n, () => '');
  }),
  ...neededAndNot('span flipped', SPAN, OLD_SPAN, (f, n) => {
    f.artifact(n, flip);
  }),
  ...neededAndNot('span without its last item', SPAN, OLD_SPAN, (f, n) => {
    f.artifact(n, (b) => b.subarray(0, b.lastIndexOf('\n', -2) + 1));
  }),
  ...neededAndNot('span with one item more', SPAN, OLD_SPAN, (f, n) => {
    f.artifact(n, (b) => `${b.toString()}{}\n`);
  }),
  ...neededAndNot('span emptied', SPAN, OLD_SPAN, (f, n) => {
    f.artifact(n, () => '');
  }),
  ...neededAndNot('span with two items swapped', SPAN, OLD_SPAN, (f, n) => {
    f.artifact(n, (b) => `${b.toString().split('\n').slice(0, -1).reverse().join('\n')}\n`);
  }),
  ...neededAndNot('span with a blank line at its end', SPAN, OLD_SPAN, (f, n) => {
    f.artifact(n, (b) => `${b.toString()}\n`);
  }),
  ...neededAndNot('span with a blank line at its start', SPAN, OLD_SPAN, (f, n) => {
    f.artifact(n, (b) => `\n${b.toString()}`);
  }),
  ...neededAndNot('span with invalid UTF-8', SPAN, OLD_SPAN, (f, n) => {
    f.artifact(n, (b) => Buffer.concat([Buffer.from([0x22, 0xff]), b]));
  }),
  ...neededAndNot('span with a byte order mark', SPAN, OLD_SPAN, (f, n) => {
    f.artifact(n, (b) => `\ufeff${b.toString()}`);
  }),
  ...neededAndNot('span that ends in the middle of a character', SPAN, OLD_SPAN, (f, n) => {
    f.artifact(n, (b) => Buffer.concat([b, Buffer.from([0xe2])]));
  }),
  {
    what: 'span without its final newline',
    verdict: 'accepted',
    change: (f) => {
      f.artifact(SPAN, (b) => b.subarray(0, -1));
    },
  },
  ...[' ', '\t', '\r', '\u00a0', '\u2028', '\ufeff', '\v\f '].map((space): Mutation => ({
    what: `span whose lines end in ${JSON.stringify(space)}`,
    verdict: 'accepted',
    change: (f) => {
      f.artifact(SPAN, (b) => b.toString().replaceAll('\n', `${space}\n`));
    },
  })),
  ...['\u0000', '\u0085', '\u200b', '\u007f'].map((notSpace): Mutation => ({
    what: `span whose lines end in ${JSON.stringify(notSpace)}, which is not white space`,
    verdict: 'refused',
    change: (f) => {
      f.artifact(SPAN, (b) => b.toString().replaceAll('\n', `${notSpace}\n`));
    },
  })),
  {
    what: 'span whose lines begin with a space',
    verdict: 'refused',
    change: (f) => {
      f.artifact(SPAN, (b) => b.toString().replaceAll('{', ' {'));
    },
  },
  {
    what: 'empty span that holds an item',
    verdict: 'refused',
    change: (f) => {
      f.artifact(EMPTY_SPAN, () => '{}\n');
    },
  },
  {
    what: 'empty span that holds a newline',
    verdict: 'refused',
    change: (f) => {
      f.artifact(EMPTY_SPAN, () => '\n');
    },
  },
  {
    what: 'two heap snapshots swapped',
    verdict: 'refused',
    change: (f) => {
      f.refileArtifact(HEAP, 'snapshot.v2.1');
      f.refileArtifact('snapshot.v2.1', HEAP);
    },
  },
  {
    what: 'bundle flipped',
    verdict: 'refused',
    change: (f) => {
      f.artifact(firstBundle(f.files.keys()), flip);
    },
  },
  {
    what: 'bundle emptied',
    verdict: 'refused',
    change: (f) => {
      f.artifact(firstBundle(f.files.keys()), () => '');
    },
  },
  {
    what: 'bundle with white space around it and another order of properties outside the hash',
    change: (f) => {
      f.artifact(firstBundle(f.files.keys()), (b) => ` ${b.toString()}\n`);
    },
  },
];

const presence: Mutation[] = [
  ...[HEAP, SPAN].flatMap((name): Mutation[] => [
    {
      what: `${name} taken out`,
      verdict: 'refused',
      change: (f) => {
        f.dropArtifact(name);
      },
    },
    {
      what: `file of ${name} missing`,
      verdict: 'refused',
      change: (f) => {
        f.files.delete(name);
      },
    },
    {
      what: `${name} not listed, its file present`,
      verdict: 'refused',
      change: (f) => {
        const bytes = f.files.get(name)!;
        f.dropArtifact(name);
        f.files.set(name, bytes);
      },
    },
  ]),
  {
    what: 'files of history missing in a debug export, asked for operational',
    base: 'debug',
    mode: 'operational',
    verdict: 'accepted',
    change: (f) => {
      f.files.delete(OLD_SPAN);
      f.files.delete(OLD_HEAP);
    },
  },
  {
    what: 'file of history missing in a debug export',
    base: 'debug',
    verdict: 'refused',
    change: (f) => {
      f.files.delete(OLD_SPAN);
    },
  },
  {
    what: 'bundle taken out',
    verdict: 'refused',
    change: (f) => {
      f.dropArtifact(firstBundle(f.files.keys()));
    },
  },
  {
    what: 'empty span taken out',
    verdict: 'accepted',
    change: (f) => {
      f.dropArtifact(EMPTY_SPAN);
    },
  },
  {
    what: 'file of the empty span missing',
    verdict: 'refused',
    change: (f) => {
      f.files.delete(EMPTY_SPAN);
    },
  },
  ...(['operational', 'replay', 'archival', 'debug'] as const).flatMap((mode): Mutation[] =>
    [OLD_SPAN, 'transcript.v1.0.3', 'transcript.v3.0.1', OLD_HEAP, 'snapshot.v1.3'].flatMap(
      (name): Mutation[] => [
        {
          what: `historical ${name} taken out of a debug export, asked for ${mode}`,
          base: 'debug',
          mode,
          change: (f) => {
            f.dropArtifact(name);
          },
        },
      ],
    ),
  ),
  ...(['replay', 'archival', 'debug'] as const).map((mode): Mutation => ({
    what: `all history taken out of a debug export, asked for ${mode}`,
    base: 'debug',
    mode,
    change: (f) => {
      for (const [name] of [...f.manifest.artifacts]) {
        const current = [HEAP, 'snapshot.v2.1', SPAN, EMPTY_SPAN, firstBundle(f.files.keys())];
        if (!current.includes(name)) f.dropArtifact(name);
      }
    },
  })),
  {
    what: 'files that the manifest does not list',
    verdict: 'accepted',
    change: (f) => {
      f.files.set('untrusted-export-data.jsonl', Buffer.from('["host.x","1"]\n'));
      f.files.set('snapshot.v9.1', Buffer.from('x'));
      f.files.set('UNTRUSTED-EXPORT-DATA', Buffer.from('x'));
    },
  },
];

const extra = (what: string, name: string): Mutation => ({
  what: `an artifact ${what}`,
  verdict: 'refused',
  change: (f) => {
    f.addArtifact(name, 'x\n', 'extra');
  },
});

const names: Mutation[] = [
  extra('that no record names: a heap snapshot', 'snapshot.v1.10'),
  extra('that no record names: of another vat', 'snapshot.v9.9'),
  extra('that no record names: a span', 'transcript.v1.11.12'),
  extra('that no record names: a bundle', 'bundle.b0-00'),
  extra('that is a span with another end', 'transcript.v1.5.8'),
  extra('that is a span of a vat with no record', 'transcript.v9.0.1'),
  extra('of an unknown kind', 'module.v1.1'),
  extra('with no kind', ''),
  extra('called UNTRUSTED-EXPORT-DATA', 'UNTRUSTED-EXPORT-DATA'),
  extra('whose name is an integer', '7'),
  extra('called __proto__', '__proto__'),
  extra('with too few parts', 'snapshot.v1'),
  extra('with too few parts: a span', 'transcript.v1.9'),
  extra('with too many parts', 'snapshot.v1.9.0'),
  extra('with too many parts: a span', 'transcript.v1.9.11.0'),
  extra('that is a bundle with a dot', 'bundle.b0-00.x'),
  extra('that is called .current', 'snapshot.v1.current'),
  extra('that is a current span', 'transcript.v1.current'),
  extra('that is an export-data key', 'kv.a'),
  extra('in capitals', 'SNAPSHOT.v1.9'),
  {
    what: 'a historical artifact in an operational export, unread',
    verdict: 'accepted',
    change: (f) => {
      f.addArtifact(OLD_SPAN, 'this is not read\n');
      f.addArtifact(OLD_HEAP, 'nor this');
    },
  },
  {
    what: 'a heap snapshot renamed to one without a record',
    base: 'debug',
    verdict: 'refused',
    change: (f) => {
      f.renameArtifact(HEAP, 'snapshot.v1.9999');
    },
  },
  {
    what: 'two heap snapshots with swapped names',
    verdict: 'refused',
    change: (f) => {
      f.renameArtifact(HEAP, 'x');
      f.renameArtifact('snapshot.v2.1', HEAP);
      f.renameArtifact('x', 'snapshot.v2.1');
    },
  },
  ...(
    [
      ['snapshot.v1.09', HEAP],
      ['snapshot.v1.9.0', HEAP],
      ['snapshot.v1.0x9', HEAP],
      ['snapshot.v1. 9', HEAP],
      ['snapshot.v1.+9', HEAP],
      ['snapshot.v1.9e0', HEAP],
      ['transcript.v1.09.11', SPAN],
      ['transcript.v1.9.0xb', SPAN],
      ['transcript.v1.9.11 ', SPAN],
    ] as const
  ).map(([name, was]): Mutation => ({
    what: `${was} spelled ${name}`,
    ...(name.split('.').length === was.split('.').length
      ? { exception: 'another spelling of a name' as const }
      : { verdict: 'refused' as const }),
    change: (f) => {
      f.renameArtifact(was, name);
    },
  })),
  {
    what: 'an artifact listed twice with the same file',
    exception: 'artifact listed twice',
    change: (f) => {
      f.manifest.artifacts.push([HEAP, HEAP]);
    },
  },
  {
    what: 'an artifact listed twice, first with a wrong file',
    exception: 'artifact listed twice',
    change: (f) => {
      f.manifest.artifacts.unshift([HEAP, SPAN]);
    },
  },
  {
    what: 'an artifact listed twice, last with a wrong file',
    verdict: 'refused',
    change: (f) => {
      f.manifest.artifacts.push([HEAP, SPAN]);
    },
  },
  {
    what: 'an unneeded artifact listed twice',
    exception: 'artifact listed twice',
    change: (f) => {
      f.manifest.artifacts.push([OLD_HEAP, 'a'], [OLD_HEAP, 'b']);
    },
  },
  {
    what: 'artifacts in another order',
    base: 'debug',
    verdict: 'accepted',
    change: (f) => {
      f.manifest.artifacts.reverse();
    },
  },
];

export const artifactMutations: readonly Mutation[] = [...content, ...presence, ...names];
