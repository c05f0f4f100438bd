/** Destinations of a received tree. */
import { resolve } from 'node:path';
import {
  type InstalledState,
  type StateArtifact,
  compareNames,
} from '../../snapshot/module-contract.ts';
import { differences } from '../kit/differences.ts';
import { ROOT } from './layout.ts';
import { identityOfNode } from './read.ts';
import { walkTree, type TreeNode } from './walk.ts';

/** Receives paths that are checked: they come in order, each after its directory. */
export interface TreeTarget {
  directory(path: string): Promise<void>;
  /** The directory is complete. */
  leave(path: string, mode: number): Promise<void>;
  file(path: string): Promise<TreeFile>;
  /** An artifact is complete. */
  took(artifact: StateArtifact): Promise<void>;
  /** All artifacts are complete: makes them durable. @throws {VerificationError} if the target differs */
  done(): Promise<void>;
  install(): Promise<InstalledState>;
  /** Leaves nothing behind; may be called again. */
  abort(): Promise<void>;
}

export interface TreeFile {
  write(bytes: Uint8Array): Promise<void>;
  finish(mode: number): Promise<void>;
}

const nothing = async (): Promise<void> => undefined;

/** Keeps nothing. @param path of the same tree, if it is already in place */
export function verifyTree(path?: string): TreeTarget {
  return {
    directory: nothing,
    leave: nothing,
    file: async () => ({ write: nothing, finish: nothing }),
    took: nothing,
    done: nothing,
    install: async () => ({ path, undo: nothing }),
    abort: nothing,
  };
}

/** Checks that the tree in `dir` is the same, to the last file. */
export function compareTree(dir: string): TreeTarget {
  const path = resolve(dir);
  const found = differences(path);
  const walk = walkTree(path);
  let next: TreeNode | undefined;
  let isStarted = false;
  const advance = async (): Promise<void> => {
    const result = await walk.next();
    next = result.done === true ? undefined : result.value;
    isStarted = true;
  };
  const passTo = async (name: string | undefined): Promise<void> => {
    if (!isStarted) await advance();
    while (next !== undefined && (name === undefined || isBefore(next.path, name))) {
      found.differs(`${next.path} is there only`);
      await advance();
    }
  };
  return {
    ...verifyTree(),
    took: async ({ name, identity }) => {
      await passTo(name);
      if (next?.path !== name) {
        found.differs(`${name} is missing`);
        return;
      }
      const there = (await identityOfNode(next)).identity;
      if (there === identity) found.equal();
      else found.differs(`${name} differs: expected ${identity}, found ${there}`);
      await advance();
    },
    done: async () => {
      await passTo(undefined);
      found.refuse('the directory differs from this tree');
    },
    install: async () => ({ path, compared: found.counts(), undo: nothing }),
    abort: async () => {
      await walk.return(undefined);
    },
  };
}

/** The root comes first. */
function isBefore(path: string, other: string): boolean {
  if (path === other || other === ROOT) return false;
  return path === ROOT || compareNames(path, other) < 0;
}
