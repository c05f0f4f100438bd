/**
 * Strict reader for protobuf as the Cosmos SDK writes it: fields ascend, each appears once, and varints have their
 * shortest encoding. It supports only the types that snapshots use: varints below 2^53, and bytes.
 */
import { damaged } from '../layout.ts';

/** A position in a complete buffer. */
export class ProtoReader {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;
  /** Names the message in errors. */
  readonly where: string;
  #lastField = 0;

  constructor(bytes: Buffer, where: string, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.where = where;
  }

  get isAtEnd(): boolean {
    return this.at >= this.end;
  }

  /** The number of the next field, which must have this wire type (0: varint, 2: bytes). */
  field(wireTypes: Readonly<Record<number, number>>): number {
    const tag = this.varint();
    const number = Math.floor(tag / 8);
    if (wireTypes[number] !== tag % 8) {
      damaged('a message holds an invalid field', {
        path: this.where,
        expected: `fields ${Object.keys(wireTypes).join(', ')}`,
        found: `field ${number} of wire type ${tag % 8}`,
      });
    }
    if (number <= this.#lastField) {
      damaged('the fields of a message are out of order', {
        path: this.where,
        expected: `a field above ${this.#lastField}`,
        found: number,
      });
    }
    this.#lastField = number;
    return number;
  }

  /** A varint that must not be zero, because writers omit a zero. */
  nonZero(): number {
    const value = this.varint();
    if (value === 0)
      damaged('a message encodes a zero, which must be omitted', { path: this.where });
    return value;
  }

  varint(): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 8; count += 1) {
      const byte = this.at < this.end ? this.bytes[this.at] : undefined;
      if (byte === undefined) return this.#short();
      this.at += 1;
      value += (byte & 0x7f) * factor;
      factor *= 128;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER || (byte === 0 && count > 0)) break;
        return value;
      }
    }
    return damaged('a number is too large, or not in its shortest encoding', { path: this.where });
  }

  /** A view of length-prefixed bytes. */
  lengthDelimited(): Buffer {
    const length = this.varint();
    if (length > this.end - this.at) return this.#short();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  #short(): never {
    return damaged('a message ends in the middle of a field', { path: this.where });
  }
}
