/**
 * Whether a SwingStore and the multistore beside it are a pair that starts.
 *
 * The node asks the kernel for the block after that of its multistore. The kernel executes the block after its own, and
 * replays its own from what it has saved of it. It refuses every other block. A restored store has nothing saved.
 */
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SwingSnapError, VerificationError } from '../../errors.ts';
import { readHead, type StoreHead } from '../../formats/swing-store/read/head.ts';
import { shellQuote } from '../../io/shell-quote.ts';
import { multistorePath, readMultistoreHeight } from './multistore.ts';

/** The height of a multistore, and how the store beside it stands to it. */
export interface Pairing {
  /** The database of the multistore. */
  readonly path: string;
  /** Height of the multistore; absent if unknown. */
  readonly height?: number;
  /** How the store stands to the multistore. */
  readonly relation: 'same' | 'ahead' | 'behind' | 'unknown';
  /** By how many blocks; absent if unknown. */
  readonly by?: number;
  /**
   * What a start of the node does; absent if unknown. `continues`: with the next block. `recovers`: replays the store's
   * last block from what the store has saved of it. `stops`: nothing is lost. `destroys`: commits a wrong multistore.
   */
  readonly start?: 'continues' | 'recovers' | 'stops' | 'destroys';
}

/** What a store would be after a restore: no export carries what a block sent. */
export function restoredHead(height: number): StoreHead {
  return { height, hasSends: false };
}

/**
 * Compares a store with the multistore of a home.
 * @param store the store, or the height and sends that it will have
 * @param note says why the two cannot be compared
 * @returns undefined if there is no multistore, or one without a committed height
 */
export async function compareWithMultistore(
  store: StoreHead,
  home: string,
  { scratchDir, note }: PairingOptions,
): Promise<Pairing | undefined> {
  const found = await readMultistoreHeight(home, scratchDir);
  const path = multistorePath(home);
  if ('none' in found) {
    tellNone(found.none, note);
    return undefined;
  }
  if ('unknown' in found) return unknownPairing(path, found.unknown, note);
  return pairOf(store, found.height, path);
}

export interface PairingOptions {
  readonly scratchDir?: string | undefined;
  readonly note: (message: string) => void;
}

/** How often a store and its multistore are read again because the node has committed a block in between. */
const ATTEMPTS = 10;
const PAUSE_MS = 50;

/**
 * Compares the store in `stateDir` with the multistore of `home`, also while the node runs.
 * @returns undefined if there is no multistore, or one without a committed height
 */
export async function readPairing(
  stateDir: string,
  home: string,
  options: PairingOptions,
): Promise<Pairing | undefined> {
  const unknown = (reason: string): Pairing =>
    unknownPairing(multistorePath(home), reason, options.note);
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const before = readHead(stateDir);
      if (before === undefined) {
        const found = await readMultistoreHeight(home, options.scratchDir);
        if (!('none' in found)) return unknown('the SwingStore cannot be read in place');
        tellNone(found.none, options.note);
        return undefined;
      }
      const notes: string[] = [];
      const note = (message: string): void => void notes.push(message);
      const pairing = await compareWithMultistore(before, home, { ...options, note });
      // Of one moment, unless the node has committed meanwhile.
      if (pairing?.height === undefined || readHead(stateDir)?.height === before.height) {
        notes.forEach(options.note);
        return pairing;
      }
      await sleep(PAUSE_MS);
    }
  } catch (error) {
    if (!(error instanceof SwingSnapError)) throw error;
    return unknown(error.message);
  }
  return unknown('the node commits blocks faster than both stores can be read');
}

function tellNone(none: string, note: (message: string) => void): void {
  note(`${none}: the heights of the SwingStore and the multistore are not compared`);
}

function unknownPairing(path: string, reason: string, note: (message: string) => void): Pairing {
  note(`the height of the multistore is unknown: ${reason}`);
  return { path, relation: 'unknown' };
}

function pairOf({ height, hasSends }: StoreHead, multistore: number, path: string): Pairing {
  const by = height - multistore;
  const pair = { path, height: multistore, by: Math.abs(by) };
  if (by === 0) return { ...pair, relation: 'same', start: 'continues' };
  // The kernel of an empty store refuses no block.
  if (by < 0) return { ...pair, relation: 'behind', start: height === 0 ? 'destroys' : 'stops' };
  if (by > 1) return { ...pair, relation: 'ahead', start: 'stops' };
  return { ...pair, relation: 'ahead', start: hasSends ? 'recovers' : 'destroys' };
}

/** One line: how the store stands to its multistore, and what a start does. */
export function describePairing({ height = 0, relation, by = 0, start }: Pairing): string {
  if (relation === 'unknown') return 'the height of the multistore is unknown';
  const where = relation === 'same' ? 'the same as the store' : `the store is ${relation} by ${by}`;
  return `height ${height}, ${where}: ${startOf(start, height, relation === 'behind' ? height - by : height + by)}`;
}

function startOf(start: Pairing['start'], multistore: number, store: number): string {
  const next = multistore + 1;
  switch (start) {
    case 'continues':
      return `a start goes on with block ${next}`;
    case 'recovers':
      return `a start recovers: it replays block ${next} from what the store has saved of it`;
    case 'stops':
      return `a start stops ("Unimplemented reset state from ${store} to ${next}"), and nothing is lost`;
    case 'destroys':
      return `a start destroys the multistore: it commits block ${next} without what the block sent`;
    case undefined:
      return 'what a start does is unknown';
  }
}

/**
 * Refuses to restore a store beside a multistore with which the node does not go on.
 * @throws {VerificationError} `UNPAIRED`
 */
export function refuseUnpaired(
  pairing: Pairing | undefined,
  restored: { readonly height: number; readonly source: string; readonly home: string },
): void {
  if (pairing?.start !== 'stops' && pairing?.start !== 'destroys') return;
  const { height: other = 0, by = 0, relation, path, start } = pairing;
  const { height } = restored;
  const where = relation === 'ahead' ? 'ahead of' : 'behind';
  throw new VerificationError(
    'UNPAIRED',
    `the restored SwingStore would be ${by} ${where} its multistore: ${startOf(start, other, height)}`,
    {
      path,
      expected: `a multistore of height ${height}`,
      found: `height ${other}`,
      hint:
        `put the multistore of height ${height} in place first, or restore height ${other} with: ` +
        `${commandFor(other, restored)}; ` +
        'if the multistore will be replaced before the node starts, go on with --unpaired',
    },
  );
}

/** The command that restores another height, if the place of the source has it. */
function commandFor(
  wanted: number,
  {
    height,
    source,
    home,
  }: { readonly height: number; readonly source: string; readonly home: string },
): string {
  const words = ['swingsnap', 'restore'];
  if (basename(source) === String(height)) {
    words.push(shellQuote(dirname(source)), '--height', String(wanted));
  } else words.push('SOURCE');
  return [...words, '--home', shellQuote(home)].join(' ');
}
