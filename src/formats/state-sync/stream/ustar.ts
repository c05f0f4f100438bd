/** Makes the only kind of tar header in a dump archive: POSIX `ustar`, a file with mode 0644 and mtime 0. */

const BLOCK_BYTES = 512;
const CHECKSUM_AT = 148;

/**
 * The header of a file.
 * @param name at most 100 bytes of ASCII
 * @param size below 8 GiB
 */
export function fileHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, digits: number): string =>
    `${value.toString(8).padStart(digits, '0')}\0`;
  const fields: readonly (readonly [at: number, text: string])[] = [
    [0, name],
    [100, octal(0o644, 7)],
    [108, octal(0, 7)],
    [116, octal(0, 7)],
    [124, octal(size, 11)],
    [136, octal(0, 11)],
    // The checksum is computed with spaces in its own place.
    [CHECKSUM_AT, ' '.repeat(8)],
    [156, '0'],
    [257, 'ustar\0'],
    [263, '00'],
    [329, octal(0, 7)],
    [337, octal(0, 7)],
  ];
  for (const [at, text] of fields) header.write(text, at, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)} `, CHECKSUM_AT, 'latin1');
  return header;
}

/** Zeros that fill the last block of a file. */
export function filePadding(size: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES);
}

/** The end of a tar file. */
export const TAR_END: Buffer = Buffer.alloc(2 * BLOCK_BYTES);
