/** The module `files`: a tree of regular files and directories, whatever their meaning to the chain. */
import {
  ModuleHasher,
  noSuchSide,
  type StateArtifact,
  type StateContext,
  type StateModule,
} from '../../snapshot/module-contract.ts';
import { ArtifactsWritable, type ArtifactsTarget } from '../kit/artifacts-writable.ts';
import { wrong, type ArtifactWriter } from '../kit/received-artifacts.ts';
import { chunksOf, GeneratedReadable } from '../kit/sent-artifacts.ts';
import type { ModuleKind, ModulePlace } from '../place.ts';
import { installTree } from './install.ts';
import {
  directoryEntryName,
  fileEntryName,
  FILES,
  identityOf,
  pathOfFileEntry,
  refuseHostilePath,
} from './layout.ts';
import { TreeOrder } from './order.ts';
import { sizeOfTree, treeArtifacts } from './read.ts';
import { compareTree, verifyTree, type TreeTarget } from './target.ts';

export const filesKind: ModuleKind = { kind: FILES, make: filesModule };

export function filesModule(place: ModulePlace): StateModule {
  const { name, dir, purpose } = place;
  return {
    name,
    kind: FILES,
    anyOrder: false,
    installs: 'between',
    async beginReadState(context) {
      if (dir === undefined || purpose !== 'read') throw noSuchSide(name, 'read');
      context.progress.phase('files', { bytes: await sizeOfTree(dir) });
      const hasher = new ModuleHasher(FILES);
      const chunks = chunksOf(treeArtifacts(name, dir), hasher, context);
      return new GeneratedReadable(name, context, chunks, hasher);
    },
    async beginWriteState(context) {
      const target = await targetOf(place, context);
      return new ArtifactsWritable(name, context, new ReceivedTree(name, target));
    },
  };
}

async function targetOf(
  { name, dir, purpose, replace = false }: ModulePlace,
  context: StateContext,
): Promise<TreeTarget> {
  if (purpose === 'verify') return verifyTree();
  if (dir === undefined || purpose === 'read') throw noSuchSide(name, 'written');
  return purpose === 'compare' ? compareTree(dir) : installTree(dir, { replace, context });
}

/** Receives a tree in the order of a walk. */
class ReceivedTree implements ArtifactsTarget {
  readonly #module: string;
  readonly place: TreeTarget;
  readonly #order = new TreeOrder();
  readonly #hasher = new ModuleHasher(FILES);

  constructor(module: string, place: TreeTarget) {
    this.#module = module;
    this.place = place;
  }

  entryNameOf(artifact: Pick<StateArtifact, 'name' | 'identity'>): string {
    const nameOf = identityOf(artifact).kind === 'file' ? fileEntryName : directoryEntryName;
    return nameOf(this.#module, artifact.name);
  }

  nameOfSplit(entryName: string): string {
    const expected = fileEntryName(this.#module, '…');
    return (
      pathOfFileEntry(entryName) ?? wrong('an entry does not belong to a file', expected, entryName)
    );
  }

  async begin(path: string, identity: string | undefined): Promise<ArtifactWriter> {
    refuseHostilePath(path);
    const what = identity === undefined ? undefined : identityOf({ name: path, identity });
    const mode = what?.kind === 'directory' ? what.mode : undefined;
    for (const left of this.#order.next(path, mode)) await this.place.leave(left.path, left.mode);
    if (mode !== undefined) {
      await this.place.directory(path);
      return {
        write: async () => wrong('a directory has bytes', 0, 'some', path),
        finish: async (artifact) => {
          this.#hasher.add(artifact);
          await this.place.took(artifact);
        },
      };
    }
    const file = await this.place.file(path);
    return {
      write: async (bytes) => file.write(bytes),
      finish: async (artifact) => {
        const finished = identityOf(artifact);
        if (finished.kind !== 'file' || finished.sha256 !== artifact.sha256) {
          wrong('the hash of a file differs from its identity', artifact.sha256, artifact.identity);
        }
        await file.finish(finished.mode);
        this.#hasher.add(artifact);
        await this.place.took(artifact);
      },
    };
  }

  async end(): Promise<ModuleHasher> {
    for (const left of this.#order.end()) await this.place.leave(left.path, left.mode);
    return this.#hasher;
  }
}
