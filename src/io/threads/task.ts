/**
 * Tasks for workers.
 *
 * - *task*: a function that needs only its input, exported by its module under its own name so that a worker finds it
 * - *give away*: transfer bytes to another thread without a copy; the giver's view of them is empty afterwards
 */

/** A function that can run in a worker. Input and output are plain data and bytes. */
export interface WorkerTask<Input, Output> {
  /** URL of the module that exports it. */
  readonly module: string;
  /** Its export name. */
  readonly name: string;
  readonly run: (input: Input) => Output | Promise<Output>;
}

/**
 * Makes a task of an exported function.
 * @param module `import.meta.url` of the module that exports `run` under its own name
 */
export function workerTask<Input, Output>(
  module: string,
  run: (input: Input) => Output | Promise<Output>,
): WorkerTask<Input, Output> {
  return { module, name: run.name, run };
}

/**
 * The buffers behind `views` that nothing else uses, so that they can be given away. A view of a part is left out:
 * others may use the rest of its buffer.
 */
export function ownBuffers(views: Iterable<Uint8Array>): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { buffer, byteLength } of views) {
    if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength && byteLength > 0) {
      buffers.add(buffer);
    }
  }
  return [...buffers];
}

/** All bytes in a value: the value itself or its properties and elements, as deep as task inputs and outputs are. */
export function* bytesIn(value: unknown, depth = 3): Generator<Uint8Array> {
  if (value instanceof Uint8Array) yield value;
  else if (typeof value === 'object' && value !== null && depth > 0) {
    for (const part of Object.values(value)) yield* bytesIn(part, depth - 1);
  }
}
