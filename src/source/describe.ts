/** Says what a path holds that is no source, and what to do with it. */
import { readdirSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { databasePath } from '../formats/swing-store/layout.ts';
import { firstTarEntry, gunzipHead, HEAD_BYTES, kindOf } from '../io/bytes/known-bytes.ts';
import { readHead } from '../io/files/file-head.ts';
import { kindOf as specialKindOf, statIfThere } from '../io/files/stat-if-there.ts';
import { listed } from '../io/listed.ts';
import { shellQuote } from '../io/shell-quote.ts';

/** The forms that a command reads, for errors. */
export const FORMS =
  'a snapshot, a directory of snapshots, an export directory, or a state-sync snapshot (its chunks, or an archive of snapshots dump)';

export interface Description {
  /** `a SQLite database`. */
  readonly what: string;
  readonly hint: string;
}

const NAME_ONE = 'name a snapshot, an export directory or a state-sync snapshot';
const RESTIC_FILES = ['config', 'data', 'index', 'keys', 'snapshots'];

/** @param path absolute; something that is there, and that is no source */
export function describe(path: string, stat: Stats): Description {
  if (stat.isDirectory()) return describeDirectory(path);
  if (stat.isFile()) return describeFile(path);
  return { what: specialKindOf(stat), hint: `a source is read more than once: ${NAME_ONE}` };
}

function describeDirectory(path: string): Description {
  const names = readdirSync(path);
  const word = shellQuote(path);
  const content = names.filter((name) => name !== 'lost+found').sort();
  if (content.length === 0) {
    return {
      what: 'an empty directory',
      hint: `check that the disk is mounted; make a snapshot with: swingsnap retrieve --create --home <node home> --snapshot-dir ${word}`,
    };
  }
  if (RESTIC_FILES.every((name) => names.includes(name))) {
    return {
      what: 'a restic repository',
      hint: `get the snapshot out of it first: restic -r ${word} restore latest --target DIR`,
    };
  }
  if (statIfThere(databasePath(path)) !== undefined) {
    return {
      what: 'a state dir with the SwingStore of a node',
      hint: `make a snapshot of it: swingsnap retrieve --create --state-dir ${word} --snapshot-dir DIR`,
    };
  }
  if (statIfThere(databasePath(join(path, 'data', 'agoric'))) !== undefined) {
    return {
      what: 'the home of a node, without state-sync snapshots',
      hint: `make a snapshot of its store: swingsnap retrieve --create --home ${word} --snapshot-dir DIR`,
    };
  }
  return {
    what: `a directory of other files: ${listed(content)}`,
    hint: `${NAME_ONE}; make a snapshot with: swingsnap retrieve --create --home <node home> --snapshot-dir DIR`,
  };
}

function describeFile(path: string): Description {
  const { bytes } = readHead(path, HEAD_BYTES);
  const kind = kindOf(bytes);
  const unpacked = kind === 'gzip' ? gunzipHead(bytes).bytes : bytes;
  const what = kind === 'gzip' ? `a gzip file of ${nameOf(unpacked)}` : nameOf(bytes);
  return { what, hint: hintFor(path, kind, kindOf(unpacked)) };
}

function nameOf(bytes: Buffer): string {
  const kind = kindOf(bytes);
  switch (kind) {
    case undefined:
      return 'a file of another kind';
    case 'empty':
      return 'an empty file';
    case 'SQLite':
      return 'a SQLite database';
    case 'tar':
      return `a tar archive that begins with ${JSON.stringify(firstTarEntry(bytes)?.name)}`;
    case 'text':
      return 'a text file';
    default:
      return `a ${kind} file`;
  }
}

function hintFor(path: string, kind: string | undefined, within: string | undefined): string {
  const [word, dir] = [path, dirname(path)].map(shellQuote);
  switch (kind) {
    case 'SQLite':
      return `a live store is named by its directory: swingsnap retrieve --create --state-dir ${dir} --snapshot-dir DIR`;
    case 'zstd':
      return `unpack it, and name what comes out: zstd -d ${word}`;
    case 'gzip':
      if (within === 'tar') break;
      return `unpack it, and name what comes out: gunzip -k ${word}`;
    case 'xz':
      return `unpack it, and name what comes out: xz -dk ${word}`;
    case 'bzip2':
      return `unpack it, and name what comes out: bunzip2 -k ${word}`;
    case 'zip':
      return `unpack it, and name what comes out: unzip ${word}`;
    case 'empty':
      return 'fetch it again: nothing of it is there';
    case 'tar':
      break;
    default:
      return `a snapshot or an export is named by its directory; ${NAME_ONE}`;
  }
  return `unpack it, and name the snapshot in it: tar -xf ${word} -C DIR`;
}
