import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** The beginning of a file. */
export interface FileHead {
  readonly bytes: Buffer;
  /** Whether this is all of the file. */
  readonly isAll: boolean;
}

/** Reads the first bytes of a regular file, `most` of them at most. */
export function readHead(path: string, most: number): FileHead {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const head = Buffer.alloc(most);
    let length = 0;
    for (let read = -1; read !== 0 && length < most; length += read) {
      read = readSync(fd, head, length, most - length, length);
    }
    return { bytes: head.subarray(0, length), isAll: fstatSync(fd).size <= length };
  } finally {
    closeSync(fd);
  }
}

/** Reads the last bytes of a regular file, `most` of them at most. */
export function readTail(path: string, most: number): Buffer {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const { size } = fstatSync(fd);
    const tail = Buffer.alloc(Math.min(size, most));
    const length = readSync(fd, tail, 0, tail.length, size - tail.length);
    return tail.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}
