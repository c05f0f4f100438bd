/** An export directory in memory, for tests that change one thing in it and ask who still accepts it. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

const DATA = 'export-data.jsonl';

/** Loose on purpose: a mutation may put anything anywhere. */
export type LooseManifest = Record<string, unknown> & { artifacts: [string, string][] };

export class ExportFiles {
  /** Written as JSON, unless {@link rawManifest} is set. */
  manifest: LooseManifest;
  rawManifest: string | Buffer | undefined;
  /** By file name, without the manifest. */
  readonly files: Map<string, Buffer>;

  private constructor(manifest: LooseManifest, files: Map<string, Buffer>) {
    this.manifest = manifest;
    this.files = files;
  }

  static async read(dir: string): Promise<ExportFiles> {
    const files = new Map<string, Buffer>();
    for (const name of await readdir(dir)) files.set(name, await readFile(path.join(dir, name)));
    const manifest = files.get('export-manifest.json')!.toString();
    files.delete('export-manifest.json');
    return new ExportFiles(JSON.parse(manifest) as LooseManifest, files);
  }

  copy(): ExportFiles {
    return new ExportFiles(structuredClone(this.manifest), new Map(this.files));
  }

  /** @param dir made if it is missing */
  async write(dir: string): Promise<void> {
    for (const [name, bytes] of this.files) {
      const file = path.resolve(dir, name);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, bytes);
    }
    const manifest = this.rawManifest ?? JSON.stringify(this.manifest, null, 2);
    await writeFile(path.join(dir, 'export-manifest.json'), manifest);
  }

  /** The export data's bytes. */
  get data(): Buffer {
    return this.files.get(DATA)!;
  }

  set data(bytes: Buffer | string) {
    this.files.set(DATA, Buffer.from(bytes));
  }

  /** The lines of the export data, without newlines. */
  get lines(): string[] {
    return this.data.toString().split('\n').slice(0, -1);
  }

  set lines(lines: readonly string[]) {
    this.data = lines.map((line) => `${line}\n`).join('');
  }

  append(...lines: readonly string[]): void {
    this.lines = [...this.lines, ...lines];
  }

  prepend(...lines: readonly string[]): void {
    this.lines = [...lines, ...this.lines];
  }

  /** Appends entries. An entry whose value is undefined becomes a list of its key alone. */
  add(...entries: readonly (readonly [key: string, value?: unknown])[]): void {
    this.append(...entries.map((entry) => JSON.stringify(entry)));
  }

  #at(key: string): number {
    const at = this.lines.findIndex((line) => line.startsWith(`[${JSON.stringify(key)},`));
    if (at === -1) throw new Error(`the export has no entry ${key}`);
    return at;
  }

  value(key: string): string {
    return (JSON.parse(this.lines[this.#at(key)]!) as [string, string])[1];
  }

  /** Replaces the whole line of an entry. */
  line(key: string, line: string): void {
    const at = this.#at(key);
    this.lines = this.lines.map((old, i) => (i === at ? line : old));
  }

  set(key: string, value: unknown): void {
    this.line(key, JSON.stringify([key, value]));
  }

  drop(key: string): void {
    const at = this.#at(key);
    this.lines = this.lines.filter((_, i) => i !== at);
  }

  /** Changes properties of a record; undefined removes one. */
  record(key: string, change: Readonly<Record<string, unknown>>): void {
    const record = JSON.parse(this.value(key)) as Record<string, unknown>;
    this.set(key, JSON.stringify({ ...record, ...change }));
  }

  /** Changes a record's text. */
  recordText(key: string, change: (text: string) => string): void {
    this.set(key, change(this.value(key)));
  }

  /** Changes an artifact's bytes. */
  artifact(name: string, change: (bytes: Buffer) => Buffer | string): void {
    const bytes = this.files.get(name);
    if (bytes === undefined) throw new Error(`the export has no artifact ${name}`);
    this.files.set(name, Buffer.from(change(bytes)));
  }

  /** Removes an artifact from the manifest, and its file. */
  dropArtifact(name: string): void {
    if (!this.files.delete(name)) throw new Error(`the export has no artifact ${name}`);
    this.manifest.artifacts = this.manifest.artifacts.filter(([other]) => other !== name);
  }

  /** Adds an artifact to the manifest, and its file. By default the file has the name of the artifact. */
  addArtifact(name: string, bytes: Buffer | string, file = name): void {
    this.files.set(file, Buffer.from(bytes));
    this.manifest.artifacts.push([name, file]);
  }

  /** Gives an artifact another name in the manifest. Its file stays. */
  renameArtifact(name: string, to: string): void {
    this.#listed(name)[0] = to;
  }

  /** Makes the manifest name another file for an artifact. */
  refileArtifact(name: string, file: string): void {
    this.#listed(name)[1] = file;
  }

  #listed(name: string): [string, string] {
    const listed = this.manifest.artifacts.find(([other]) => other === name);
    if (listed === undefined) throw new Error(`the manifest has no artifact ${name}`);
    return listed;
  }
}
