/** Reads the extensions that follow the stores of a state-sync snapshot, each with its payloads. */
import { damaged } from '../layout.ts';
import type { OtherItem } from './decode-item.ts';
import type { ItemReader } from './items.ts';

const MAX_EXTENSIONS = 1_000;
/** Limit for all extensions together: many times the artifacts of a chain's whole history. */
const MAX_PAYLOADS = 2_000_000;
/** The format of `swingset` and `wasm`; neither extension has ever had another. */
export const KNOWN_FORMAT = 1;

export interface Extension {
  readonly name: string;
  readonly format: number;
  /** Sizes of its payloads. Each payload must be read or skipped before the next size is requested. */
  readonly payloads: AsyncGenerator<number>;
}

/**
 * The extensions, in any order.
 * @param first the item after the stores
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
        damaged('a node comes after the stores', { path: reader.where }),
      );
      if (item?.kind !== 'payload') return;
      count += 1;
      if (count > MAX_PAYLOADS) damaged('there are too many payloads', { path: reader.where });
      yield item.size;
    }
  };
  while (item !== undefined) {
    if (item.kind !== 'extension') {
      return damaged('an extension is expected here', {
        path: reader.where,
        found: item.kind,
      });
    }
    const { name, format } = item;
    if (names.includes(name) || names.length >= MAX_EXTENSIONS) {
      damaged('an extension appears twice, or there are too many', {
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
