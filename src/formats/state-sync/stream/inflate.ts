/** The one zlib stream that the chunks of a state-sync snapshot make. */
import { createInflate, type Inflate, type ZlibOptions } from 'node:zlib';
import { VerificationError } from '../../../errors.ts';
import type { ExpansionLimit } from '../../../io/bytes/expansion-limit.ts';
import { systemTrouble } from '../../../io/files/system-error.ts';
import { damaged } from '../layout.ts';

const PIECE_BYTES = 1024 * 1024;
/** What is inflated ahead, so that it goes on while this thread hashes. */
const OPTIONS: ZlibOptions & { readableHighWaterMark: number } = {
  chunkSize: PIECE_BYTES,
  readableHighWaterMark: 4 * PIECE_BYTES,
};

/**
 * Inflates one zlib stream. What stands behind its end is read too, to the end: whoever gives the chunks may check
 * them, and is done with that only then.
 * @param chunks hostile
 * @param location names the snapshot in errors
 * @param limit told how many bytes go in and come out
 * @param behind told how many bytes stand behind the end; writers before SDK 0.47 ended the stream twice, which
 *   leaves 4 or 9
 * @throws {VerificationError} `STATE_SYNC_DAMAGED`, also of `limit`
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
  // What goes wrong is thrown to the reader, or by `feeding`: once the stream has ended, nothing else hears of an error
  // that comes with a chunk behind its end.
  stream.on('error', () => undefined);
  const feeding = feed(stream, chunks, state);
  // Whoever stops early does not wait for it.
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
    damaged('the chunks make no whole zlib stream', {
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
 * Not by `pipe`: once the zlib stream has ended, it takes nothing any more and never says so. And whether it is
 * destroyed tells nothing: that also happens at its end.
 * @returns bytes of all chunks
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
