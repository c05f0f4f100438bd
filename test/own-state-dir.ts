/** A run of the tests keeps what users have from run to run in a directory of its own, not in the home of who runs it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export async function setup(): Promise<() => Promise<void>> {
  const dir = await mkdtemp(path.join(tmpdir(), 'swingsnap-state-'));
  process.env['SWINGSNAP_STATE_DIR'] = dir;
  return async () => rm(dir, { recursive: true, force: true });
}
