/** What stands behind the stores of a state-sync snapshot: extensions, each with its payloads. */
import { damaged } from '../layout.ts';
import type { OtherItem } from './decode-item.ts';
import type { ItemReader } from './items.ts';

const MAX_EXTENSIONS = 1_000;
/** Of all extensions: many times what a chain has artifacts in its whole history. */
const MAX_PAYLOADS = 2_000_000;
/** The formats of `swingset` and of `wasm`: the same ever since there are these extensions. */
export const KNOWN_FORMAT = 1;

export interface Extension {
  readonly name: string;
  readonly format: number;
  /** Sizes of its payloads; each is to be read from the reader, or left, before the next is asked for. */
  readonly payloads: AsyncGenerator<number>;
}

/**
 * The extensions, in any order.
 * @param first the item behind the stores
 * @throws {VerificationError} `STATE_SYNC_DAMAGED`
 */
export async function* extensionsOf(
  reader: ItemReader,
  first: OtherItem | undefined,
): AsyncGenerator<Extension> {
  const names: string[] = [];
  let count = 0;
  let item = first;
  const payloadsOf = async function* payloads(): AsyncGenerator<number> {
    for (;;) {
      item = await reader.next(() =>
        damaged('a node stands behind the stores', { path: reader.where }),
      );
      if (item?.kind !== 'payload') return;
      count += 1;
      if (count > MAX_PAYLOADS) damaged('there are too many payloads', { path: reader.where });
      yield item.size;
    }
  };
  while (item !== undefined) {
    if (item.kind !== 'extension') {
      return damaged('something else stands where an extension should', {
        path: reader.where,
        found: item.kind,
      });
    }
    const { name, format } = item;
    if (names.includes(name) || names.length >= MAX_EXTENSIONS) {
      damaged('an extension is there twice, or there are too many', {
        path: reader.where,
        found: name,
      });
    }
    names.push(name);
    const payloads = payloadsOf();
    yield { name, format, payloads };
    for await (const _ of payloads);
  }
}

/** @throws {VerificationError} `STATE_SYNC_DAMAGED` for an extension of a format that cannot be read */
export function refuseFormat({ name, format }: Extension, where: string): void {
  if (format === KNOWN_FORMAT) return;
  damaged(`the extension ${name} has a format that this program does not know`, {
    path: where,
    expected: KNOWN_FORMAT,
    found: format,
    hint: 'use a newer swingsnap',
  });
}
