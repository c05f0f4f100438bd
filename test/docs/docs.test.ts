import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT_CODES } from '../../src/errors.ts';
import {
  anchorsOf,
  commandLinesOf,
  fencesOf,
  flagsIn,
  inlineCodeOf,
  linksOf,
  readDocument,
  readDocuments,
  root,
  tablesOf,
} from './markdown.ts';

interface Manifest {
  readonly commands: Readonly<
    Record<
      string,
      {
        readonly description: string;
        readonly flags: Readonly<
          Record<
            string,
            { readonly char?: string; readonly env?: string; readonly allowNo?: boolean }
          >
        >;
      }
    >
  >;
}

const { commands } = JSON.parse(
  readFileSync(path.join(root, 'oclif.manifest.json'), 'utf8'),
) as Manifest;
const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>;
};

/** Words and flags that oclif and its help plugin add. */
const WORDS_OF_OCLIF = ['autocomplete', 'help'];
const FLAGS_OF_OCLIF = ['--help', '--version'];
/** Flags of other programs that the documents mention. */
const FLAGS_OF_OTHERS = ['--failed', '--global', '--zstd'];

function flagsOf(command: string): readonly string[] {
  const flags = Object.entries(commands[command]?.flags ?? {});
  return flags.flatMap(([name, { char, allowNo }]) => [
    `--${name}`,
    ...(allowNo === true ? [`--no-${name}`] : []),
    ...(char === undefined ? [] : [`-${char}`]),
  ]);
}

/** Documents that describe only existing commands; the design also mentions others. */
const guides = [readDocument('README.md'), readDocument('docs/operations.md')];
const withCommands = [...guides, readDocument('docs/agd.md'), readDocument('docs/upgrades.md')];
const documents = readDocuments();

describe.each(documents)('$file', (document) => {
  it('names only source files that exist', () => {
    const named = inlineCodeOf(document).filter((code) =>
      /^[a-z-]+(?:\/[a-z.-]+)+\.[jt]s$/u.test(code),
    );
    const missing = named.filter(
      (code) => !['', 'src', 'test'].some((above) => existsSync(path.join(root, above, code))),
    );
    expect(missing).toEqual([]);
  });
});

describe.each(withCommands)('$file', (document) => {
  it('names only commands that exist', () => {
    const lines = commandLinesOf(document);
    const unknown = lines.filter(
      ({ command }) => !(command in commands) && !WORDS_OF_OCLIF.includes(command),
    );
    expect(lines).not.toEqual([]);
    expect(unknown).toEqual([]);
  });

  it('gives each command only flags that it has', () => {
    const unknown = commandLinesOf(document).flatMap(({ command, flags, line }) =>
      flags
        .filter((flag) => ![...flagsOf(command), ...FLAGS_OF_OCLIF].includes(flag))
        .map((flag) => `${flag} in: ${line}`),
    );
    expect(unknown).toEqual([]);
  });

  it('mentions only flags that some command has', () => {
    const known = [
      ...Object.keys(commands).flatMap(flagsOf),
      ...FLAGS_OF_OCLIF,
      ...FLAGS_OF_OTHERS,
    ];
    const mentioned = inlineCodeOf(document)
      .flatMap(flagsIn)
      .filter((flag) => flag.startsWith('--'));
    expect(mentioned.filter((flag) => !known.includes(flag))).toEqual([]);
  });
});

describe.each(guides)('$file', (document) => {
  it('has the exit codes of the program, each with the same meaning as in the help', () => {
    const help = new Map(
      [...(commands['export']?.description ?? '').matchAll(/^(\d+) +(.+)$/gmu)].map(
        ([, code = '', meaning = '']) => [code, meaning],
      ),
    );
    expect([...help.keys()]).toEqual(Object.values(EXIT_CODES).map(String));
    const [table, ...others] = tablesOf(document, 'code', 'meaning');
    expect(others).toEqual([]);
    expect(table?.map(([code, meaning]) => [code, meaning])).toEqual([...help]);
  });

  it('names only environment variables that the program reads', () => {
    const read = new Set([...JSON.stringify(commands).matchAll(VARIABLE)].map(([name]) => name));
    for (const file of sources()) {
      for (const [name] of readFileSync(file, 'utf8').matchAll(VARIABLE)) read.add(name);
    }
    const named = [...document.text.matchAll(VARIABLE)].map(([name]) => name);
    expect(named.filter((name) => !read.has(name))).toEqual([]);
  });

  it('begins its part on restoring with the height of the multistore', () => {
    const [, part = ''] = document.text.split(/^#+ Restore(?: it)?$/mu);
    expect(part.trim().split('\n\n')[0]).toMatch(
      /^\*\*A restored store belongs beside a Cosmos multistore of exactly this height\.\*\*/u,
    );
    expect(part).toMatch(/never roll back `priv_validator_state.json`/iu);
  });
});

const VARIABLE = /\bSWINGSNAP_[A-Z_]+/gu;

function sources(): readonly string[] {
  return readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join(root, 'src', name));
}

describe('README.md', () => {
  const readme = readDocument('README.md');

  it('shows every command in use', () => {
    const shown = new Set(commandLinesOf(readme).map(({ command }) => command));
    expect(Object.keys(commands).filter((command) => !shown.has(command))).toEqual([]);
  });

  it('sets the project up with two commands, whose scripts exist', () => {
    const setUp = fencesOf(readme).find((fence) => fence.includes('npm install'));
    expect(setUp).toBe('npm install && npm run demo\nnpm install && npm test\n');
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['demo', 'test']));
  });
});

describe.each(documents)('$file', (document) => {
  it('links only to existing files and headings', () => {
    const dead = linksOf(document).filter((target) => {
      if (/^https?:/u.test(target)) return false;
      const [file = '', anchor] = target.split('#');
      const found = file === '' ? document.file : path.join(path.dirname(document.file), file);
      if (!existsSync(path.join(root, found))) return true;
      return anchor !== undefined && !anchorsOf(readDocument(found)).includes(anchor);
    });
    expect(dead).toEqual([]);
  });

  it('names only hosts of public documents', () => {
    const hosts = [...document.text.matchAll(/\bhttps?:\/\/([^/\s)>`]*)/gu)].map(
      ([, host = '']) => host,
    );
    expect(hosts.filter((host) => !PUBLIC_HOSTS.includes(host))).toEqual([]);
    expect(document.text).not.toMatch(
      /\blocalhost\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|\bregistry\.(?!ts\b)/u,
    );
  });

  it('names no path of a machine', () => {
    expect(document.text).not.toMatch(MACHINE_PATH);
  });
});

/** The empty host is from a bare scheme in code: `https://`. */
const PUBLIC_HOSTS = [
  '',
  'keepachangelog.com',
  'semver.org',
  'www.apache.org',
  'www.rfc-editor.org',
  'datatracker.ietf.org',
  'facebook.github.io',
  'pubs.opengroup.org',
  'sqlite.org',
  'www.sqlite.org',
  'github.com',
];

/** The only user in examples is `agoric`. */
const MACHINE_PATH =
  /(?<![\w.~>-])\/(?:root|work|workspace|builds|Users|home\/(?!agoric\b)|tmp)(?![\w-])/u;
