/**
 * Names in a tree of files, as the module `files` carries it.
 *
 * - *path*: relative to the tree's root, with `/` between names; the root itself is `.`
 * - *mode*: the permission bits, three octal digits; owners and times are not carried
 */
import { VerificationError } from '../../errors.ts';
import { sha256Hex } from '../../io/bytes/digest.ts';
import { moduleOf, type StateArtifact } from '../../snapshot/module-contract.ts';

export const FILES = 'files';

export const ROOT = '.';

/** Names of entries have at most 1024 UTF-16 units, some of which the module's name and the part number need. */
const MAX_PATH_UNITS = 960;
const MAX_NAME_BYTES = 255;
const MODE_MASK = 0o777;

/** Identity of an artifact of a tree. */
export type TreeIdentity =
  | { readonly kind: 'directory'; readonly mode: number }
  | { readonly kind: 'file'; readonly mode: number; readonly sha256: string };

/** Whether a path always leads to something inside the tree, on every file system that allows such names. */
export function isTreePath(path: string): boolean {
  if (path === ROOT) return true;
  if (path.length > MAX_PATH_UNITS || /[\0\p{Surrogate}]/u.test(path)) return false;
  return path.split('/').every((name) => {
    const isName = name !== '' && name !== '.' && name !== '..';
    return isName && Buffer.byteLength(name) <= MAX_NAME_BYTES;
  });
}

/** The path of the parent directory. */
export function parentOf(path: string): string {
  const end = path.lastIndexOf('/');
  return end === -1 ? ROOT : path.slice(0, end);
}

export function formatIdentity(identity: TreeIdentity): string {
  const mode = (identity.mode & MODE_MASK).toString(8).padStart(3, '0');
  return identity.kind === 'file' ? `file:${mode}:${identity.sha256}` : `directory:${mode}`;
}

/** @returns undefined if `identity` is malformed */
export function parseIdentity(identity: string): TreeIdentity | undefined {
  const [, directoryMode] = /^directory:([0-7]{3})$/u.exec(identity) ?? [];
  if (directoryMode !== undefined) return { kind: 'directory', mode: parseInt(directoryMode, 8) };
  const [, mode, sha256] = /^file:([0-7]{3}):([0-9a-f]{64})$/u.exec(identity) ?? [];
  if (mode === undefined || sha256 === undefined) return undefined;
  return { kind: 'file', mode: parseInt(mode, 8), sha256 };
}

export function fileEntryName(module: string, path: string): string {
  return `${module}/files/${path}`;
}

/** Uses the hash of the path: a tar cannot hold both a file with the directory's name and files below it. */
export function directoryEntryName(module: string, path: string): string {
  return `${module}/directories/${sha256Hex(Buffer.from(path))}`;
}

/** The path of a file, from the name of its entry. The path is hostile. */
export function pathOfFileEntry(entryName: string): string | undefined {
  const prefix = fileEntryName(moduleOf(entryName), '');
  return entryName.startsWith(prefix) ? entryName.slice(prefix.length) : undefined;
}

/**
 * @param artifact hostile
 * @throws {VerificationError} `TREE_PATH`, `WRONG_CHUNK`
 */
export function identityOf({
  name,
  identity,
}: Pick<StateArtifact, 'name' | 'identity'>): TreeIdentity {
  refuseHostilePath(name);
  const parsed = parseIdentity(identity);
  if (parsed !== undefined && (name !== ROOT || parsed.kind === 'directory')) return parsed;
  throw new VerificationError('WRONG_CHUNK', 'an artifact is neither a file nor a directory', {
    path: name,
    expected: 'file:<mode>:<sha256> or directory:<mode>',
    found: identity,
  });
}

/** @throws {VerificationError} `TREE_PATH` */
export function refuseHostilePath(path: string): void {
  if (isTreePath(path)) return;
  throw new VerificationError('TREE_PATH', 'a path is invalid, or leads out of its tree', {
    expected: 'names separated by /, none of them empty, . or ..',
    found: JSON.stringify(path.slice(0, 200)),
  });
}
