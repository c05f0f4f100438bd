/** One of the threads of `kv-readers.ts`: pins a view of the database, and reads ranges of it when asked. */
import { workerData } from 'node:worker_threads';
import { answerOrders } from '../../io/asked-thread.ts';
import { prepareKVBlocks, type KVRange } from './kv-lines.ts';
import { openStoreDatabase } from './pin.ts';

answerOrders(() => {
  const db = openStoreDatabase(workerData as string);
  // Each page is read once.
  db.pragma('cache_size = -2000');
  db.exec('BEGIN');
  // The first read pins the view; the handle lives as long as the statements that the thread keeps.
  db.prepare('SELECT 1 FROM kvStore LIMIT 1').get();
  const readBlock = prepareKVBlocks(db);
  return (range: KVRange) => readBlock(range);
});
