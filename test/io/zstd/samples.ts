/** Inputs for the zstd tests, the same in every run. Sizes in bytes. */

const MIB = 1024 * 1024;

/** Numbers from 0 up to but excluding `limit`, from a fixed seed (a linear congruential generator). */
function numbers(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Incompressible bytes. */
export function noise(bytes: number): Uint8Array {
  const next = numbers(1);
  return Uint8Array.from({ length: bytes }, () => next(256));
}

/** Words and line ends, which compress to about a third. */
export function textLike(bytes: number): Uint8Array {
  const next = numbers(2);
  const words = Array.from({ length: 4000 }, () => next(2 ** 32).toString(36));
  const text = Buffer.alloc(bytes);
  for (let at = 0; at < bytes;) {
    const word = words[next(1 + next(words.length))] ?? '';
    at += text.write(`${word}${next(16) === 0 ? '\n' : ' '}`, at, 'latin1');
  }
  return new Uint8Array(text.buffer);
}

/** A short repeated text: it compresses to almost nothing, but has no run-length blocks. */
export function repetitive(bytes: number): Uint8Array {
  return new Uint8Array(Buffer.alloc(bytes, textLike(977)));
}

/** Raw contents that every codec must round-trip, by what is special about them. */
export function rawSamples(): Record<string, Uint8Array> {
  return {
    'nothing at all': new Uint8Array(0),
    'one byte': Uint8Array.of(0x2a),
    'bytes that do not compress': noise(3 * MIB + 17),
    '17 MiB that compress well': repetitive(17 * MIB),
    '16 MiB of text': textLike(16 * MIB),
  };
}
