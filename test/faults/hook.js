/**
 * Loaded into a process of swingsnap with `NODE_OPTIONS=--import`: numbers every step that changes something below
 * `root`, logs it, and does there what the plan in `SWINGSNAP_FAULT` asks for. The program does not know of it.
 * `faults.ts` has the types of plans and log lines.
 */
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { isMainThread, threadId } from 'node:worker_threads';

const { SWINGSNAP_FAULT } = process.env;
if (SWINGSNAP_FAULT !== undefined) await install(JSON.parse(SWINGSNAP_FAULT));

async function install(plan) {
  const original = { ...fs };
  const program = process.argv[1]?.endsWith('export-worker.js') ? 'worker' : 'command';
  // Each thread counts its own steps.
  const role = isMainThread ? program : `${program} thread ${threadId}`;
  const log = original.openSync(plan.log, 'a');
  const isHere = plan.fault !== undefined && plan.fault.role === role;
  let count = 0;

  const say = (line) => original.writeSync(log, `${JSON.stringify(line)}\n`);
  const sleepSync = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

  function kill(who) {
    if (who !== 'self') process.kill(process.ppid, 'SIGKILL');
    if (who !== 'parent') {
      process.kill(process.pid, 'SIGKILL');
      sleepSync(60_000);
    }
  }

  function strike(n, call, where) {
    const { fault } = plan;
    if (!isHere || fault.when !== where) return;
    const matches = fault.calls === undefined || fault.calls.includes(call);
    if (!(fault.from === undefined ? fault.at === n : n >= fault.from) || !matches) return;
    if (fault.type === 'kill') kill(fault.who);
    if (fault.type === 'run') {
      for (const [verb, ...args] of fault.steps) original[verb](...args);
    }
    if (fault.type === 'error') {
      throw Object.assign(new Error(`${fault.code}: injected, ${call}`), { code: fault.code });
    }
  }

  /** Replaces a directory's descriptor at the start of a path with the path of the directory. */
  const named = (file) =>
    file.replace(/^\/proc\/self\/fd\/\d+(?=\/|$)/u, (link) => {
      try {
        return original.readlinkSync(link);
      } catch {
        return link;
      }
    });

  const inRoot = (file) => {
    if (typeof file !== 'string') return undefined;
    const full = path.resolve(named(file));
    return full === plan.root || full.startsWith(`${plan.root}/`) ? full : undefined;
  };

  function begin(call, file, facts) {
    count += 1;
    const n = count;
    say({ n, role, call, path: file, ...facts });
    strike(n, call, 'before');
    return n;
  }

  function end(n, call) {
    say({ n, role, end: true });
    strike(n, call, 'after');
  }

  /** Runs a step on `file`. Outside the root it is not a step. */
  function stepSync(call, file, facts, run) {
    const full = inRoot(file);
    if (full === undefined) return run();
    const n = begin(call, full, facts);
    const result = run();
    end(n, call);
    return result;
  }

  async function step(call, file, facts, run) {
    const full = inRoot(file);
    if (full === undefined) return run();
    const n = begin(call, full, facts);
    const result = await run();
    end(n, call);
    return result;
  }

  const to = (_from, target) => ({ to: path.resolve(named(target)) });
  const none = () => ({});
  const changing = {
    rename: to,
    link: to,
    copyFile: to,
    unlink: none,
    rmdir: none,
    mkdtemp: none,
    writeFile: none,
    chmod: none,
    chown: none,
  };
  for (const [call, factsOf] of Object.entries(changing)) {
    const promised = fsp[call];
    fsp[call] = (...args) => step(call, args[0], factsOf(...args), () => promised(...args));
    const sync = original[`${call}Sync`];
    fs[`${call}Sync`] = (...args) => stepSync(call, args[0], factsOf(...args), () => sync(...args));
  }

  // `mkdir -p` of an existing directory changes nothing, so it is not a step.
  const mkdirSync = original.mkdirSync;
  fs.mkdirSync = (file, options) =>
    original.existsSync(file)
      ? mkdirSync(file, options)
      : stepSync('mkdir', file, {}, () => mkdirSync(file, options));
  const mkdir = fsp.mkdir;
  fsp.mkdir = async (file, options) =>
    original.existsSync(file)
      ? mkdir(file, options)
      : step('mkdir', file, {}, () => mkdir(file, options));

  // In a recursive removal, each removed name is a step of its own.
  fs.rmSync = (file, options = {}) => {
    const stat = original.lstatSync(file, { throwIfNoEntry: false });
    if (inRoot(file) === undefined || stat === undefined) return original.rmSync(file, options);
    if (!stat.isDirectory()) return fs.unlinkSync(file);
    if (options.recursive !== true) return original.rmSync(file, options);
    for (const name of original.readdirSync(file)) fs.rmSync(path.join(file, name), options);
    return fs.rmdirSync(file);
  };
  const rm = fsp.rm;
  fsp.rm = async (file, options = {}) => {
    const stat = original.lstatSync(file, { throwIfNoEntry: false });
    if (inRoot(file) === undefined || stat === undefined) return rm(file, options);
    if (!stat.isDirectory()) return fsp.unlink(file);
    if (options.recursive !== true) return rm(file, options);
    for (const name of original.readdirSync(file)) await fsp.rm(path.join(file, name), options);
    return fsp.rmdir(file);
  };

  const files = new WeakMap();
  const { O_CREAT, O_WRONLY, O_RDWR } = fs.constants;
  const writes = (flags) =>
    typeof flags === 'number'
      ? (flags & (O_CREAT | O_WRONLY | O_RDWR)) !== 0
      : typeof flags === 'string' && flags !== 'r';
  const open = fsp.open;
  const own = await open(new URL(import.meta.url));
  const FileHandle = Object.getPrototypeOf(own);
  await own.close();
  fsp.open = async (file, flags, mode) => {
    const existed = original.existsSync(file);
    const handle = writes(flags)
      ? await step('open', file, { made: !existed }, () => open(file, flags, mode))
      : await open(file, flags, mode);
    files.set(handle, named(String(file)));
    return handle;
  };
  for (const call of ['write', 'writeFile']) {
    const method = FileHandle[call];
    FileHandle[call] = function (...args) {
      return step('write', files.get(this), {}, () => method.apply(this, args));
    };
  }
  for (const call of ['sync', 'datasync']) {
    const method = FileHandle[call];
    FileHandle[call] = function () {
      const file = files.get(this);
      return step('sync', file, synced(file), () => method.apply(this));
    };
  }

  /** Copies the bytes that a sync makes safe. The copy is named after the role and the number of the step. */
  function synced(file) {
    const full = inRoot(file);
    if (plan.shadow === undefined || full === undefined) return {};
    const stat = original.statSync(full, { throwIfNoEntry: false });
    if (stat === undefined || stat.isDirectory()) return { directory: stat !== undefined };
    const copy = `${role}-${String(count + 1)}`;
    original.copyFileSync(full, path.join(plan.shadow, copy));
    return { directory: false, copy };
  }

  const { openDatabase } = await import('../../dist/io/sqlite.js');
  const memory = openDatabase(':memory:');
  const prototype = Object.getPrototypeOf(memory);
  memory.close();
  for (const call of ['exec', 'pragma', 'close']) {
    const method = prototype[call];
    prototype[call] = function (...args) {
      return stepSync(`sqlite ${call}`, this.name, { text: args[0] }, () =>
        method.apply(this, args),
      );
    };
  }
  syncBuiltinESMExports();
}
