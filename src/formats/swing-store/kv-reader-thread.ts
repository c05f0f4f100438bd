/** One of the threads of `kv-readers.ts`: pins a view of the database, and reads ranges of it when asked. */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { failureOf } from '../../io/worker-pool/error-message.ts';
import { ownBuffers } from '../../io/worker-pool/task.ts';
import { prepareKVBlocks } from './kv-lines.ts';
import type { ReaderAnswer, ReaderOrder } from './kv-readers.ts';

function answer(work: () => ReaderAnswer): void {
  let said: ReaderAnswer;
  try {
    said = work();
  } catch (error) {
    said = { failure: failureOf(error) };
  }
  const lines = 'output' in said && said.output !== 'pinned' ? said.output.lines : undefined;
  parentPort?.postMessage(said, lines === undefined ? [] : ownBuffers([lines]));
}

answer(() => {
  const db = new Database(workerData as string, { readonly: true, fileMustExist: true });
  db.exec('BEGIN');
  // The first read pins the view; the handle lives as long as the statements that the thread keeps.
  db.prepare('SELECT 1 FROM kvStore LIMIT 1').get();
  const readBlock = prepareKVBlocks(db);
  parentPort?.on('message', ({ range }: ReaderOrder) => {
    answer(() => ({ output: readBlock(range) }));
  });
  return { output: 'pinned' };
});
