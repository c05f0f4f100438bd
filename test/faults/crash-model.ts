/**
 * A model of a file system that loses power: what was synced is there, and what was not synced may be there or not.
 *
 * The model keeps two things for each file and directory: what a process sees, and what is safe. A file's bytes are
 * safe as of the file's last sync, and a directory's names as of the directory's last sync. After a crash, a directory
 * shows its safe names, or the names that a process saw, since a file system may write names at any time. A file shows
 * only its safe bytes. A file that was never synced has none.
 */
import { copyFileSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { Step, StepEnd } from './faults.ts';

interface FileNode {
  readonly kind: 'file';
  /** Path of a copy of its safe bytes. */
  safe: string | undefined;
}

interface DirectoryNode {
  readonly kind: 'directory';
  names: Map<string, Node>;
  safe: Map<string, Node>;
}

type Node = FileNode | DirectoryNode;

/**
 * The files after a crash: by path, the path of a copy of the bytes, or `''` if there are none. Directories end in `/`.
 */
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

  /** Applies all steps. After each line of the log, yields the number of lines so far. */
  *replay(log: readonly (Step | StepEnd)[]): Generator<number> {
    const key = ({ role, n }: Step | StepEnd): string => `${role} ${n}`;
    const steps = new Map(log.filter((line) => !('end' in line)).map((line) => [key(line), line]));
    const succeeded = new Set(log.filter((line) => 'end' in line).map(key));
    for (const [taken, line] of log.entries()) {
      const step = steps.get(key(line)) as Step;
      // A step's change of names may be seen as soon as the step begins. What a step makes safe is safe when the step
      // ends.
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

  /** The log does not say when SQLite makes a database: the first step on that file is its sync. */
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

  /** Names directly below the root, both safe and seen. */
  get topNames(): string[] {
    return [...new Set([...this.#root.names.keys(), ...this.#root.safe.keys()])];
  }

  /**
   * What is there after a crash at this moment.
   * @param eager names below the root whose directories show what a process saw; `''` is the root itself
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

/** Writes the files of a crash state below `dir`. */
export function makeReal(state: CrashState, dir: string): void {
  mkdirSync(dir, { recursive: true });
  for (const [path, copy] of state) {
    if (path.endsWith('/')) mkdirSync(join(dir, path), { recursive: true });
    else if (copy === '') writeFileSync(join(dir, path), '');
    else copyFileSync(copy, join(dir, path));
  }
}
