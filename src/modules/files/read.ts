/** Reads a tree of files as artifacts to send. */
import { DigestTap } from '../../io/bytes/digest.ts';
import { ModuleHasher, type ModuleFields } from '../../snapshot/module-contract.ts';
import type { SentArtifact } from '../kit/sent-artifacts.ts';
import { directoryEntryName, fileEntryName, FILES, formatIdentity } from './layout.ts';
import { walkTree, type TreeNode } from './walk.ts';

export async function* treeArtifacts(module: string, root: string): AsyncGenerator<SentArtifact> {
  for await (const { path, kind, mode, size, read } of walkTree(root)) {
    const name = kind === 'file' ? fileEntryName : directoryEntryName;
    yield {
      name: path,
      entryName: name(module, path),
      size,
      identityOf: (sha256) => formatIdentity({ kind, mode, sha256 }),
      read,
    };
  }
}

/** Bytes of the files in a tree. Throws what `walkTree` throws. */
export async function sizeOfTree(root: string): Promise<number> {
  let bytes = 0;
  for await (const { size } of walkTree(root)) bytes += size;
  return bytes;
}

/** Identity and size of a node of a tree, from its content. */
export async function identityOfNode({ kind, mode, read }: TreeNode): Promise<{
  readonly size: number;
  readonly sha256: string;
  readonly identity: string;
}> {
  const tap = new DigestTap();
  for await (const _ of tap.through(read()));
  const { size, sha256 } = tap.finish();
  return { size, sha256, identity: formatIdentity({ kind, mode, sha256 }) };
}

/** The manifest fields of a tree. Throws what `walkTree` throws. */
export async function fieldsOfTree(root: string): Promise<ModuleFields> {
  const hasher = new ModuleHasher(FILES);
  for await (const node of walkTree(root)) {
    hasher.add({ name: node.path, ...(await identityOfNode(node)) });
  }
  return hasher.fields();
}
