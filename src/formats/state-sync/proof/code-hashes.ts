/**
 * The code hashes of the IAVL store `wasm`, which the AppHash proves. Tracks the hashes whose byte code was found.
 *
 * Source: CosmWasm/wasmd `x/wasm/types/keys.go`, `proto/cosmwasm/wasm/v1/types.proto` (`CodeInfo`).
 */
import { VerificationError } from '../../../errors.ts';
import { openScratchDatabase } from '../../../io/files/scratch.ts';
import type { Database, Statement } from '../../../io/sqlite.ts';
import { damaged } from '../layout.ts';
import { asBuffer, type ReadNode } from '../stream/node.ts';
import { ProtoReader } from '../stream/proto.ts';

/** A key consists of this prefix and the code id, a big-endian u64. */
const CODE_PREFIX = '\u0001';
const KEY_BYTES = 9;
const HASH_BYTES = 32;
/** Maximum number of missing byte codes in an error. */
const NAMED_MISSING = 10;
const AGAIN = 'get the state-sync snapshot again, or use another one';

export class CodeHashes {
  readonly #scratchDir: string;
  readonly #location: string;
  readonly #hint: string;
  #db: Database | undefined;
  #add: Statement | undefined;
  /** Whether the snapshot has the store. Without it, the byte codes of the chain are unknown. */
  hasStore = false;

  /**
   * @param scratchDir holds a scratch database, made with the first code hash
   * @param location names the snapshot in errors
   * @param hint for errors about byte code
   */
  constructor(scratchDir: string, location: string, hint = AGAIN) {
    this.#scratchDir = scratchDir;
    this.#location = location;
    this.#hint = hint;
  }

  /** Adds code hashes (hex), in the order of the store. Codes with the same hash share one byte code. */
  add(checksums: readonly string[]): void {
    if (checksums.length === 0) return;
    this.#add ??= this.#open();
    for (const checksum of checksums) this.#add.run(checksum);
  }

  #open(): Statement {
    this.#db = openScratchDatabase(this.#scratchDir);
    this.#db.exec(
      'CREATE TABLE codes (n INTEGER PRIMARY KEY, checksum TEXT UNIQUE, found INTEGER DEFAULT 0)',
    );
    return this.#db.prepare('INSERT INTO codes (checksum) VALUES (?) ON CONFLICT DO NOTHING');
  }

  /**
   * Records that a byte code was found.
   * @param checksum its SHA-256 in hex
   * @param where names its payload in errors
   * @throws {VerificationError} `UNKNOWN_CODE` if no code of the chain has this hash; `DUPLICATE_CODE`
   */
  noteFound(checksum: string, where: string): void {
    const found = this.#db
      ?.prepare('SELECT found FROM codes WHERE checksum = ?')
      .pluck()
      .get(checksum);
    if (found === undefined) {
      throw new VerificationError('UNKNOWN_CODE', 'the chain does not use this byte code', {
        path: where,
        expected: 'a code hash of the store wasm',
        found: checksum,
        hint: this.#hint,
      });
    }
    if (found !== 0) {
      throw new VerificationError('DUPLICATE_CODE', 'a byte code appears twice', {
        path: where,
        found: checksum,
        hint: this.#hint,
      });
    }
    this.#db?.prepare('UPDATE codes SET found = 1 WHERE checksum = ?').run(checksum);
  }

  /** All code hashes (hex), in the order of the code ids at which they first appear. */
  *checksums(): Generator<string> {
    // One row per query: the database cannot be written to while a query is open.
    const after = this.#db?.prepare('SELECT n, checksum FROM codes WHERE n > ? ORDER BY n LIMIT 1');
    for (let last = 0; ;) {
      const next = after?.get(last) as { n: number; checksum: string } | undefined;
      if (next === undefined) return;
      yield next.checksum;
      last = next.n;
    }
  }

  /** @throws {VerificationError} `MISSING_CODE` if the byte code of any code was not found */
  refuseMissing(): void {
    const missing = (this.#db
      ?.prepare('SELECT checksum FROM codes WHERE found = 0 ORDER BY n LIMIT ?')
      .pluck()
      .all(NAMED_MISSING) ?? []) as string[];
    if (missing.length === 0) return;
    const count = this.#db?.prepare('SELECT count(*) FROM codes WHERE found = 0').pluck().get();
    throw new VerificationError('MISSING_CODE', 'byte codes of the chain are missing', {
      path: this.#location,
      expected: missing.join(', '),
      found: `${String(count)} are missing`,
      hint: this.#hint,
    });
  }

  /** Whether no store lists any byte code. */
  get isEmpty(): boolean {
    return this.#db === undefined;
  }

  close(): void {
    this.#db?.close();
    this.#db = undefined;
    this.#add = undefined;
  }
}

/** Whether a node of the store is the leaf of a code. */
export function isCode({ key, height }: Pick<ReadNode, 'key' | 'height'>): boolean {
  return height === 0 && key.length === KEY_BYTES && key.startsWith(CODE_PREFIX);
}

/**
 * The code hash in the leaf of a code, as hex.
 * @param store names the store in errors
 * @throws {VerificationError} `STATE_SYNC_DAMAGED` if the leaf has none
 */
export function codeHashOf({ key, value }: Pick<ReadNode, 'key' | 'value'>, store: string): string {
  const where = `${store}, key ${Buffer.from(key, 'latin1').toString('hex')}`;
  const info = new ProtoReader(asBuffer(value), where);
  // The first field of `CodeInfo`; the rest is not needed.
  info.field({ 1: 2 });
  const hash = info.lengthDelimited();
  if (hash.length === HASH_BYTES) return hash.toString('hex');
  return damaged('a code of the chain lists no hash of its byte code', {
    path: where,
    expected: `${HASH_BYTES} bytes`,
    found: `${hash.length} bytes`,
  });
}
