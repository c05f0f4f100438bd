/** Follows the commands of docs/agd.md line by line. A real snapshot and a stand-in for agd take the place of the node. */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { makeMultistore } from '../fixtures/multistore.ts';
import { REAL_SNAPSHOTS } from '../fixtures/state-sync/real-node.ts';
import { fencesOf, readDocument } from './markdown.ts';

const run = promisify(execFile);
const tempDir = useTempDir();
const [real] = REAL_SNAPSHOTS;
const { height, format } = real.expected;

/** The shell commands, in the order of the page. */
const fences = fencesOf(readDocument('docs/agd.md')).filter((text) =>
  /^ *(?:swingsnap|agd|systemctl) /mu.test(text),
);

/** Loads, lists and restores as agd does: it refuses a multistore that is there, and restores both stores. */
const AGD = `#!/bin/sh
set -eu
data="$HOME/.agoric/data"
case "$1 $2" in
'snapshots load') mkdir -p "$data/snapshots" && cp "$3" "$data/snapshots/loaded" ;;
'snapshots list') echo "height: ${height} format: ${format} chunks: 1" ;;
'snapshots restore')
  test ! -e "$data/application.db"
  cp -r "$STAND_INS/data/application.db" "$data/"
  swingsnap restore "$data/snapshots/loaded" --home "$HOME/.agoric" ;;
'comet bootstrap-state') test -d "$data/application.db" && test ! -e "$data/blockstore.db" ;;
*) exit 64 ;;
esac
`;

describe('docs/agd.md', () => {
  it('restores both halves of a node from its own snapshot', { timeout: 180_000 }, async () => {
    const dir = await tempDir();
    const [bin, backup, home] = ['bin', 'backup', 'agoric/.agoric'].map((name) => join(dir, name));
    for (const made of [bin, backup, join(home!, 'config')]) mkdirSync(made!, { recursive: true });
    real.layOut(home!);
    writeFileSync(join(home!, 'data', 'priv_validator_state.json'), '{"height":"16"}');
    writeFileSync(join(home!, 'data', 'blockstore.db'), '');
    await makeMultistore(home!, height + 1);
    await makeMultistore(join(dir, 'stand-ins'), height);
    cpSync(real.archive, join(backup!, `${height}-${format}.tar.gz`));
    symlinkSync(process.execPath, join(bin!, 'node'));
    symlinkSync(
      fileURLToPath(new URL('../../bin/run.js', import.meta.url)),
      join(bin!, 'swingsnap'),
    );
    writeFileSync(join(bin!, 'agd'), AGD, { mode: 0o755 });
    writeFileSync(join(bin!, 'systemctl'), '#!/bin/sh\n', { mode: 0o755 });

    const here = (text: string): string =>
      text
        .replaceAll('/home/agoric', join(dir, 'agoric'))
        .replaceAll('/backup', backup!)
        .replaceAll('20000000', String(height))
        .replaceAll(/\b[0-9A-F]{64}\b/gu, real.appHash)
        // The page is for those who have a snapshot dir.
        .replaceAll('swingsnap retrieve', 'swingsnap retrieve --create');
    const env = {
      PATH: `${bin}:/usr/bin:/bin`,
      HOME: join(dir, 'agoric'),
      STAND_INS: join(dir, 'stand-ins'),
      SWINGSNAP_STATE_DIR: join(dir, 'own'),
    };
    expect(fences).toHaveLength(7);
    let output = '';
    for (const fence of fences) {
      const { stdout } = await run('/bin/sh', ['-e', '-c', here(fence)], { env, cwd: dir });
      output += stdout;
    }
    expect(output).toContain('proved: app hash');
    expect(output).toContain(`height ${height}, the same as the store: a start goes on`);

    const status = ['status', '--home', home!, '--json'];
    const { stdout } = await run(join(bin!, 'swingsnap'), status, { env });
    expect(JSON.parse(stdout)).toMatchObject({ multistore: { height, relation: 'same' } });
    const data = join(home!, 'data');
    expect(readFileSync(join(data, 'priv_validator_state.json'), 'utf8')).toContain('16');
    expect(readdirSync(home!).sort()).toEqual(['config', 'data', 'data.before']);
  });
});
