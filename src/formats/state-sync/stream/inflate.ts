/** Inflates the single zlib stream that the chunks of a state-sync snapshot form. */
import { createInflate, type Inflate, type ZlibOptions } from 'node:zlib';
import { VerificationError } from '../../../errors.ts';
import type { ExpansionLimit } from '../../../io/bytes/expansion-limit.ts';
import { systemCode, systemTrouble } from '../../../io/files/system-error.ts';
import { damaged, endsEarly } from '../layout.ts';

const PIECE_BYTES = 1024 * 1024;
/** Large enough to keep inflating while this thread hashes. */
const OPTIONS: ZlibOptions & { readableHighWaterMark: number } = {
  chunkSize: PIECE_BYTES,
  readableHighWaterMark: 4 * PIECE_BYTES,
};

/**
 * Inflates one zlib stream. Also reads the bytes after its end, because the producer of the chunks may have checks
 * that run only at the end.
 * @param chunks hostile
 * @param location names the snapshot in errors
 * @param limit counts the bytes that go in and come out
 * @param behind receives the number of bytes after the end; writers before SDK 0.47 ended the stream twice, which
 *   leaves 4 or 9
 * @throws {VerificationError} `STATE_SYNC_DAMAGED`, also from `limit`
 */
export async function* inflate(
  chunks: AsyncIterable<Uint8Array>,
  location: string,
  limit: ExpansionLimit,
  behind: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  const stream = createInflate(OPTIONS);
  const state = { hasEnded: false, isLeft: false };
  stream.once('end', () => {
    state.hasEnded = true;
  });
  // The reader gets errors of the stream. After the end of the stream, only `feeding` gets the errors of chunks.
  stream.on('error', () => undefined);
  const feeding = feed(stream, chunks, state);
  // If the reader stops early, it does not await this promise.
  feeding.catch((error: unknown) => stream.destroy(error as Error));
  try {
    for await (const piece of stream as AsyncIterable<Buffer>) {
      limit.taken = stream.bytesWritten;
      limit.give(piece.length);
      yield piece;
    }
    behind((await feeding) - stream.bytesWritten);
  } catch (cause) {
    if (cause instanceof VerificationError || systemTrouble(cause) !== undefined) throw cause;
    if (systemCode(cause) === 'Z_BUF_ERROR') {
      endsEarly('its chunks', location, stream.bytesWritten, { cause });
    }
    damaged('the chunks are not one complete zlib stream', {
      path: location,
      found: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  } finally {
    state.isLeft = true;
    stream.destroy();
    await feeding.catch(() => undefined);
  }
}

/**
 * Feeds the chunks without `pipe`: a zlib stream that has ended accepts no more input, but never reports it. Its
 * `destroyed` flag does not help, since it is also set at a normal end.
 * @returns total size of all chunks
 */
async function feed(
  stream: Inflate,
  chunks: AsyncIterable<Uint8Array>,
  state: { readonly hasEnded: boolean; readonly isLeft: boolean },
): Promise<number> {
  let bytes = 0;
  const over = new Promise<void>((resolve) => {
    stream.once('end', resolve).once('close', resolve);
  });
  for await (const chunk of chunks) {
    if (state.isLeft) return bytes;
    bytes += chunk.length;
    if (state.hasEnded || stream.write(chunk)) continue;
    const drained = new Promise<void>((resolve) => stream.once('drain', resolve));
    await Promise.race([drained, over]);
  }
  if (!state.hasEnded && !state.isLeft) stream.end();
  return bytes;
}
