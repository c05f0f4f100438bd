/** The scripts of the specification, exactly as a reader would copy them. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const specification = fileURLToPath(new URL('../../docs/snapshot-format.md', import.meta.url));

/** Turns a snapshot into an export directory. Writes the script to `dir`. Rejects if the script fails. */
export async function runRecipe(
  dir: string,
  snapshot: string,
  exportDir: string,
): Promise<{ stdout: string }> {
  const [, script] = /^```bash\n([^]*?)^```$/mu.exec(await readFile(specification, 'utf8')) ?? [];
  const file = path.join(dir, 'snapshot-to-export');
  await writeFile(file, script!);
  return run('bash', [file, snapshot, exportDir]);
}

/** The operational hash of an export directory. */
export async function documentedOperationalHash(exportDir: string): Promise<string> {
  const [, script] = /^ *```sh\n([^]*?)^ *```$/mu.exec(await readFile(specification, 'utf8')) ?? [];
  const { stdout } = await run('bash', ['-c', script!], { cwd: exportDir });
  return stdout.split(' ')[0]!;
}
