import { isUtf8 } from 'node:buffer';

/** `bytes`, or a copy with U+FFFD in place of invalid UTF-8, as in a JavaScript string. */
export function wellFormed(bytes: Buffer): Buffer {
  return isUtf8(bytes) ? bytes : Buffer.from(bytes.toString());
}
