/**
 * A model of a file system that loses its power: what was synced is there, what was not may be there or not.
 *
 * Two things are kept for each file and directory: what a process sees, and what is safe. A file's bytes are safe as
 * of its last sync, a directory's names as of the directory's. After a crash a directory may show its safe names or,
 * since a file system writes names when it likes, those that a process saw; a file shows its safe bytes only, which
 * for one that was never synced are none.
 */
import { copyFileSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { Step, StepEnd } from './faults.ts';

interface FileNode {
  readonly kind: 'file';
  /** Where a copy of its safe bytes is. */
  safe: string | undefined;
}

interface DirectoryNode {
  readonly kind: 'directory';
  names: Map<string, Node>;
  safe: Map<string, Node>;
}

type Node = FileNode | DirectoryNode;

/** Files of a state after a crash, by path: where a copy of the bytes is, `''` for none. Directories end in `/`. */
export type CrashState = ReadonlyMap<string, string>;

export class CrashModel {
  readonly #root: DirectoryNode;
  readonly #rootPath: string;
  readonly #shadow: string;

  /**
   * @param before a copy of the root as it was before the run
   * @param shadow where the hook put the bytes of synced files
   */
  constructor(rootPath: string, before: string, shadow: string) {
    this.#rootPath = rootPath;
    this.#shadow = shadow;
    this.#root = loadDirectory(before);
  }

  /** Takes all steps, and gives after each line of the log the number of lines taken so far. */
  *replay(log: readonly (Step | StepEnd)[]): Generator<number> {
    const key = ({ role, n }: Step | StepEnd): string => `${role} ${n}`;
    const steps = new Map(log.filter((line) => !('end' in line)).map((line) => [key(line), line]));
    const succeeded = new Set(log.filter((line) => 'end' in line).map(key));
    for (const [taken, line] of log.entries()) {
      const step = steps.get(key(line)) as Step;
      // What a step does to names may be seen as soon as it has begun, what it makes safe is so when it has ended.
      if (!('end' in line)) {
        if (succeeded.has(key(line))) this.#change(step);
      } else if (step.call === 'sync') {
        this.#sync(step);
      }
      yield taken + 1;
    }
  }

  #sync(step: Step): void {
    const node = this.#find(step.path) ?? this.#makeFile(step.path);
    if (node.kind === 'directory') node.safe = new Map(node.names);
    else node.safe = join(this.#shadow, step.copy!);
  }

  #change({ call, path, to, made }: Step): void {
    if (call === 'rename' || call === 'link') {
      const node = this.#find(path) ?? this.#makeFile(path);
      if (call === 'rename') this.#parent(path).names.delete(basename(path));
      this.#parent(to!).names.set(basename(to!), node);
    } else if (call === 'unlink' || call === 'rmdir') {
      this.#parent(path).names.delete(basename(path));
    } else if (call === 'mkdir') {
      this.#makeDirectories(path);
    } else if (call === 'writeFile' || (call === 'open' && made === true)) {
      if (this.#find(path) === undefined) this.#makeFile(path);
    }
  }

  /** Of a database that SQLite makes, its sync is the first that is heard. */
  #makeFile(path: string): FileNode {
    const file: FileNode = { kind: 'file', safe: undefined };
    this.#parent(path).names.set(basename(path), file);
    return file;
  }

  #makeDirectories(path: string): DirectoryNode {
    let at = this.#root;
    for (const name of this.#names(path)) {
      let next = at.names.get(name);
      if (next?.kind !== 'directory') {
        next = { kind: 'directory', names: new Map(), safe: new Map() };
        at.names.set(name, next);
      }
      at = next;
    }
    return at;
  }

  #names(path: string): string[] {
    const inside = relative(this.#rootPath, path);
    return inside === '' ? [] : inside.split('/');
  }

  #find(path: string): Node | undefined {
    let at: Node | undefined = this.#root;
    for (const name of this.#names(path))
      at = at?.kind === 'directory' ? at.names.get(name) : undefined;
    return at;
  }

  #parent(path: string): DirectoryNode {
    const node = this.#find(dirname(path));
    if (node?.kind !== 'directory') throw new Error(`no directory above ${path}`);
    return node;
  }

  /** Names directly below the root, of then and now. */
  get topNames(): string[] {
    return [...new Set([...this.#root.names.keys(), ...this.#root.safe.keys()])];
  }

  /**
   * What is there after a crash at this moment.
   * @param eager names below the root, `''` for the root itself, whose directories show what a process saw
   */
  crash(eager: ReadonlySet<string>): CrashState {
    const state = new Map<string, string>();
    const walk = (directory: DirectoryNode, path: string, top: string): void => {
      for (const [name, node] of eager.has(top) ? directory.names : directory.safe) {
        const at = path === '' ? name : `${path}/${name}`;
        if (node.kind === 'file') {
          state.set(at, node.safe ?? '');
        } else {
          state.set(`${at}/`, '');
          walk(node, at, top === '' ? name : top);
        }
      }
    };
    walk(this.#root, '', '');
    return state;
  }
}

function loadDirectory(dir: string): DirectoryNode {
  const names = new Map<string, Node>();
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    const isDirectory = statSync(path).isDirectory();
    names.set(name, isDirectory ? loadDirectory(path) : { kind: 'file', safe: path });
  }
  return { kind: 'directory', names, safe: new Map(names) };
}

/** Makes a crash state real below `dir`. */
export function makeReal(state: CrashState, dir: string): void {
  mkdirSync(dir, { recursive: true });
  for (const [path, copy] of state) {
    if (path.endsWith('/')) mkdirSync(join(dir, path), { recursive: true });
    else if (copy === '') writeFileSync(join(dir, path), '');
    else copyFileSync(copy, join(dir, path));
  }
}
