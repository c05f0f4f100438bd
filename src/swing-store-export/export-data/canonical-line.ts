/**
 * Recognises, in bytes, the output of `JSON.stringify` for a pair of well-formed strings. Nothing is decoded: export
 * data is mostly values that swingsnap does not interpret, and a value may be tens of megabytes.
 */

const [QUOTE, COMMA, OPEN, CLOSE, NEWLINE, BACKSLASH] = [...Buffer.from('",[]\n\\')] as [
  number,
  number,
  number,
  number,
  number,
  number,
];

const [PLAIN, END, ESCAPE, CONTROL] = [0, 1, 2, 3];

/** The role of each byte in a string. Most bytes represent themselves. */
const KIND = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === QUOTE) return END;
  if (byte === BACKSLASH) return ESCAPE;
  return byte < 0x20 ? CONTROL : PLAIN;
});

/** 1 for bytes that follow the backslash in a two-byte escape. */
const SHORT_ESCAPE = Uint8Array.from({ length: 256 }, (_, byte) =>
  '"\\bfnrt'.includes(String.fromCharCode(byte)) ? 1 : 0,
);

/** The other control characters, as `JSON.stringify` spells them after `\u00`. */
const LONG_ESCAPES = new Set(
  Array.from({ length: 0x20 }, (_, code) => JSON.stringify(String.fromCharCode(code)))
    .filter((quoted) => quoted.startsWith('"\\u00'))
    .map((quoted) => quoted.slice(5, 7)),
);

/** End positions of the parts of a line, relative to its block. */
export interface CanonicalLine {
  /** Position after the closing quote of the key. Its opening quote is the second byte of the line. */
  readonly keyEnd: number;
  /** Position after the newline. */
  readonly end: number;
}

/**
 * Finds the line `["key","value"]` with its newline at `start`. Undefined if the text there is anything else.
 * @param block UTF-8; the caller has checked that
 */
export function findCanonicalLine(block: Uint8Array, start: number): CanonicalLine | undefined {
  if (block[start] !== OPEN) return undefined;
  const keyEnd = endOfString(block, start + 1);
  if (block[keyEnd] !== COMMA) return undefined;
  const valueEnd = endOfString(block, keyEnd + 1);
  if (block[valueEnd] !== CLOSE || block[valueEnd + 1] !== NEWLINE) return undefined;
  return { keyEnd, end: valueEnd + 2 };
}

/**
 * Position after the closing quote of the string that opens at `start`, or -1 if `JSON.stringify` would not write it
 * so. All export data passes through this, byte by byte; the small loop takes two thirds of the time of a larger one.
 */
function endOfString(block: Uint8Array, start: number): number {
  if (block[start] !== QUOTE) return -1;
  let at = start;
  for (;;) {
    let kind: number | undefined;
    // Past the end of the block the byte reads as 0, which is not PLAIN.
    do {
      at += 1;
      kind = KIND[block[at] ?? 0];
    } while (kind === PLAIN);
    if (kind === END) return at + 1;
    if (kind !== ESCAPE) return -1;
    const length = SHORT_ESCAPE[block[at + 1] ?? 0] === 1 ? 2 : lengthOfLongEscape(block, at);
    if (length === 0) return -1;
    at += length - 1;
  }
}

function lengthOfLongEscape(block: Uint8Array, at: number): number {
  const text = String.fromCharCode(...block.subarray(at + 1, at + 6));
  return text.startsWith('u00') && LONG_ESCAPES.has(text.slice(3)) ? 6 : 0;
}
