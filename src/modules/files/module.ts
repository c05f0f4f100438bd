/** The module `files`: a tree of regular files and directories, whatever their meaning to the chain. */
import {
  ModuleHasher,
  noSuchSide,
  outOfTurn,
  refuseOtherState,
  type ChunkedWritable,
  type StateChunk,
  type StateContext,
  type StateModule,
  type WrittenState,
} from '../../snapshot/module-contract.ts';
import { ReceivedArtifacts, wrong, type ArtifactWriter } from '../kit/received-artifacts.ts';
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
import { treeArtifacts } from './read.ts';
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
      const hasher = new ModuleHasher(FILES);
      const chunks = chunksOf(treeArtifacts(name, dir), hasher, context);
      return new GeneratedReadable(name, context, chunks, hasher);
    },
    async beginWriteState(context) {
      return new FilesWritable(name, context, await targetOf(place, context));
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

class FilesWritable implements ChunkedWritable {
  readonly #name: string;
  readonly #context: StateContext;
  readonly #target: TreeTarget;
  readonly #received: ReceivedArtifacts;
  readonly #order = new TreeOrder();
  readonly #hasher = new ModuleHasher(FILES);
  #isDone = false;

  constructor(name: string, context: StateContext, target: TreeTarget) {
    this.#name = name;
    this.#context = context;
    this.#target = target;
    this.#received = new ReceivedArtifacts(name, {
      entryNameOf: (artifact) => {
        const nameOf = identityOf(artifact).kind === 'file' ? fileEntryName : directoryEntryName;
        return nameOf(name, artifact.name);
      },
      nameOfSplit: (entryName) =>
        pathOfFileEntry(entryName) ??
        wrong('an entry does not belong to a file', fileEntryName(name, '…'), entryName),
      begin: async (path, identity) => this.#begin(path, identity),
    });
  }

  async #begin(path: string, identity: string | undefined): Promise<ArtifactWriter> {
    refuseHostilePath(path);
    const what = identity === undefined ? undefined : identityOf({ name: path, identity });
    const mode = what?.kind === 'directory' ? what.mode : undefined;
    for (const left of this.#order.next(path, mode)) await this.#target.leave(left.path, left.mode);
    if (mode !== undefined) {
      await this.#target.directory(path);
      return {
        write: async () => wrong('a directory has bytes', 0, 'some', path),
        finish: async (artifact) => {
          this.#hasher.add(artifact);
          await this.#target.took(artifact);
        },
      };
    }
    const file = await this.#target.file(path);
    return {
      write: async (bytes) => file.write(bytes),
      finish: async (artifact) => {
        const finished = identityOf(artifact);
        if (finished.kind !== 'file' || finished.sha256 !== artifact.sha256) {
          wrong('the hash of a file differs from its identity', artifact.sha256, artifact.identity);
        }
        await file.finish(finished.mode);
        this.#hasher.add(artifact);
        await this.#target.took(artifact);
      },
    };
  }

  async writeChunk(chunk: StateChunk): Promise<void> {
    if (this.#isDone) throw outOfTurn(this.#name, 'writeChunk');
    await this.#received.writeChunk(chunk);
  }

  async done(): Promise<WrittenState> {
    if (this.#isDone) throw outOfTurn(this.#name, 'done');
    this.#isDone = true;
    await this.#received.end();
    for (const left of this.#order.end()) await this.#target.leave(left.path, left.mode);
    const description = { height: this.#context.height, fields: { ...this.#hasher.fields() } };
    refuseOtherState(this.#name, this.#context, description);
    await this.#target.done();
    return { description, install: async () => this.#target.install() };
  }

  async abort(error: unknown): Promise<void> {
    this.#received.fail(error);
    await this.#received.settled();
    await this.#target.abort();
  }
}
