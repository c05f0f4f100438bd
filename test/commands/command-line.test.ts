/** Rules for every command line: help, wrong usage, and reports of errors. */
import { spawnSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { useTempDir } from '../fixtures/directories.ts';
import { runCli } from '../fixtures/run-cli.ts';

const testDir = useTempDir('file');
const COMMANDS = ['export', 'retrieve', 'discard', 'restore', 'verify'] as const;
const runPath = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

describe.concurrent('help', () => {
  it.each(COMMANDS)(
    'of %s lists its exit codes, its flags in groups, and examples',
    async (command) => {
      const { stdout, stderr, exitCode } = await runCli([command, '-h']);
      expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 });
      for (const code of [0, 1, 2, 6, 130, 143]) {
        expect(stdout).toMatch(new RegExp(`^ +${code} +\\S`, 'mu'));
      }
      expect(stdout).toContain('--json');
      expect(stdout).toContain('-q, --quiet');
      expect(stdout).toMatch(new RegExp(`EXAMPLES\\n +\\$ swingsnap ${command} `, 'u'));
      // Every flag is in a group, and the usage line has no remains of them.
      expect(stdout).not.toMatch(/^FLAGS$/mu);
      expect(stdout).not.toMatch(/\| *[|\]]/u);
      expect(stdout.match(/^[A-Z]+ FLAGS$/gmu)?.at(-1)).toBe('OUTPUT FLAGS');
    },
  );

  it('of verify leaves out the exit code that it never has', async () => {
    expect((await runCli(['verify', '--help'])).stdout).not.toMatch(/^ +7 +\S/mu);
  });

  it('names commands in the order of use, then values and all exit codes', async () => {
    const { stdout } = await runCli(['-h']);
    const at = ['export', 'retrieve', 'status', 'discard', 'restore', 'verify', 'SIZE', 'TIME'].map(
      (word) => stdout.search(new RegExp(`^ +${word} `, 'mu')),
    );
    expect(at).toEqual(at.toSorted((a, b) => a - b));
    expect(at).not.toContain(-1);
    for (const code of [0, 1, 2, 3, 4, 5, 6, 7, 130, 143]) {
      expect(stdout).toMatch(new RegExp(`^ +${code} +\\S`, 'mu'));
    }
  });

  it.each(['-v', 'version'])('prints the version for %s', async (word) => {
    expect(await runCli([word])).toEqual(await runCli(['--version']));
  });

  it('is printed by the program without arguments, and names every command', async () => {
    const { stdout, exitCode } = await runCli([]);
    expect(exitCode).toBe(0);
    for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^ +${command} +\\S`, 'mu'));
  });
});

describe('completion', () => {
  /** The words that the shell offers for the last of `words`, after it was set up as `autocomplete` says. */
  async function offered(...words: readonly string[]): Promise<readonly string[]> {
    const env = { XDG_CACHE_HOME: await testDir() };
    expect((await runCli(['autocomplete', '--refresh-cache'], { env })).exitCode).toBe(0);
    const setup = await runCli(['autocomplete', 'script', 'bash'], { env });
    const script = `${setup.stdout}
      COMP_WORDS=(swingsnap "$@"); COMP_CWORD=$#
      _swingsnap_autocomplete; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync('bash', ['-c', script, 'bash', ...words], { encoding: 'utf8' });
    return stdout.split('\n').map((word) => word.trim());
  }

  it('offers commands and the flags of a command', async () => {
    expect(await offered('re')).toEqual(expect.arrayContaining(['restore', 'retrieve']));
    expect(await offered('restore', '--re')).toEqual(
      expect.arrayContaining(['--replace', '--require-proof']),
    );
  });
});

describe.concurrent('wrong usage', () => {
  it.each([
    ['export', 'export-dir'],
    ['export --export-dir E --no-such-flag', '--no-such-flag'],
    ['export --export-dir E --height 1.5', '1.5'],
    ['export --export-dir E --height -1', '-1'],
    ['export --export-dir E --height 9007199254740993', '9007199254740993'],
    ['export --export-dir E --artifact-mode all', 'operational'],
    ['export --export-dir E --export-data-mode none', 'skip'],
    ['export --export-dir E --home H --state-dir S', '--home'],
    ['export --export-dir E more', 'more'],
    ['retrieve --state-dir S', 'snapshot-dir'],
    ['retrieve --snapshot-dir D', 'no source is given'],
    ['retrieve --snapshot-dir D --export-dir E --state-dir S', '--state-dir'],
    ['retrieve --snapshot-dir D --export-dir E --artifact-mode replay', '--artifact-mode'],
    ['retrieve --snapshot-dir D --export-dir E --keep-export --delete-export', '--delete-export'],
    ['retrieve --snapshot-dir D --state-dir S --delete-export', '--delete-export'],
    ['retrieve --snapshot-dir D --state-dir S --chunk-size 1', '1'],
    ['retrieve --snapshot-dir D --state-dir S --chunk-size 1GiB', 'chunk size'],
    ['retrieve --snapshot-dir D --state-dir S --chunk-size 16mib', '16mib'],
    ['retrieve --snapshot-dir D --state-dir S --level 99', 'level'],
    ['retrieve --snapshot-dir D --state-dir S --keep-last x', 'x'],
    ['discard', 'export-dir'],
    ['restore --state-dir S', 'SOURCE is missing'],
    ['restore --module a=files:D --mem-store m --state-dir S', 'SOURCE is missing'],
    ['restore D --state-dir S --expect 123', '123'],
    ['restore D --state-dir S --artifact-mode none', 'operational'],
    ['restore D --state-dir S --require-proof', 'prove'],
    ['verify D --require-proof', 'prove'],
    ['verify D --quick --require-proof', '--quick'],
    ['retrieve --state-dir S --snapshot-dir D --require-proof', 'prove'],
    ['retrieve --state-dir S --snapshot-dir D --leave-module wasm', '--from'],
    [
      `retrieve --format state-sync --stores-from S --state-dir S --snapshot-dir D --expect ${'0'.repeat(
        64,
      )}`,
      '--expect',
    ],
    ['export --state-dir S --export-dir E --require-proof', '--from'],
    ['verify', 'SOURCE is missing'],
    ['verify D --quick --state-dir S', '--quick'],
    ['verify D --state-dir=', 'nothing'],
    ['discard --export-dir=', 'nothing'],
    ['retrieve --snapshot-dir D --state-dir S --keep-last 0', '1'],
    ['retrieve --snapshot-dir D --state-dir S --no-wait', '--no-wait'],
    ['retrieve --snapshot-dir D --export-dir E --at-height 5', '--at-height'],
    ['exprot --export-dir E', 'exprot'],
  ])(
    'is reported in one line, with exit code 2 and the command’s help as hint: swingsnap %s',
    async (line, word) => {
      const cwd = await testDir();
      const words = line.split(' ');
      const [text, json] = await Promise.all([
        runCli(words, { cwd }),
        runCli([...words, '--json'], { cwd }),
      ]);
      expect(text).toMatchObject({ exitCode: 2, stdout: '' });
      // On a busy machine, a line of progress comes before it.
      const stderr = text.stderr.replace(/^starting\n/u, '');
      const [message = '', ...rest] = stderr.trimEnd().split('\n');
      expect(message).toMatch(/^swingsnap: \S/u);
      expect(text.stderr).toContain(word);
      expect(rest.at(-1)).toMatch(/^hint: \S/u);
      expect(rest.slice(0, -1).every((fact) => /^ {2}(path|expected|found): /u.test(fact))).toBe(
        true,
      );
      expect(json).toMatchObject({ exitCode: 2, stderr: '', json: { error: { exitCode: 2 } } });
      expect(await readdir(cwd)).toEqual([]);
    },
  );
});

describe.concurrent('a mistyped word', () => {
  it.each([
    ['restor', 'restore'],
    ['exprot --export-dir E', 'export'],
    ['verify D --hieght 7', '--height'],
    ['restore D --require-prof', '--require-proof'],
  ])('is answered with the one that was meant: swingsnap %s', async (line, meant) => {
    const { stderr, exitCode } = await runCli(line.split(' '));
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`hint: did you mean ${meant}? otherwise see: swingsnap`);
  });

  it('is left alone if nothing is like it', async () => {
    expect((await runCli(['frobnicate'])).stderr).toContain('hint: swingsnap --help\n');
  });
});

describe.concurrent('a flag that may be repeated', () => {
  it.each([
    ['--module', 'a=files:A'],
    ['--mem-store', 'm'],
  ])('takes one value each time, and leaves SOURCE to the command: %s', async (flag, value) => {
    const missing = join(await testDir(), 'missing');
    const { exitCode, stderr } = await runCli(['verify', flag, value, missing]);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 5,
      stderr: expect.stringContaining(missing) as unknown,
    });
  });
});

describe.concurrent('an error', () => {
  it('shows no stack unless DEBUG is set', async () => {
    const line = ['verify', join(await testDir(), 'missing')];
    const plain = await runCli(line);
    expect(plain.stderr).not.toMatch(/^ +at /mu);
    const debug = await runCli(line, { env: { DEBUG: 'swingsnap' } });
    expect(debug.stderr).toMatch(/^ +at /mu);
    expect(debug.exitCode).toBe(5);
  });

  it('is reported under --quiet too', async () => {
    const missing = join(await testDir(), 'missing');
    const { stdout, stderr, exitCode } = await runCli(['verify', missing, '-q']);
    expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 5 });
    expect(stderr).toMatch(/^swingsnap: nothing there\n {2}path: +\S+missing\nhint: \S/u);
  });
});

describe('starting', () => {
  it.each(['--version', '--help'])('%s loads no database, archive or terminal library', (flag) => {
    const hook = `
      import { writeSync } from 'node:fs';
      export async function resolve(specifier, context, next) {
        const found = await next(specifier, context);
        writeSync(2, found.url + '\\n');
        return found;
      }
    `;
    const loader = `data:text/javascript,${encodeURIComponent(hook)}`;
    const register = `data:text/javascript,${encodeURIComponent(
      `import { register } from 'node:module'; register(${JSON.stringify(loader)});`,
    )}`;
    const { stderr, status } = spawnSync(process.execPath, ['--import', register, runPath, flag], {
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    expect(stderr).toContain('/dist/cli/main.js');
    expect(stderr).not.toMatch(
      /node_modules\/(better-sqlite3|tar-stream|ora|zstd-napi|zstd-codec)\//u,
    );
  });
});
