/** A thread of `kv-readers.ts`: pins a view of the database and reads ranges of it on request. */
import { workerData } from 'node:worker_threads';
import { answerOrders } from '../../../../io/threads/asked-thread.ts';
import { openStoreDatabase } from '../pin.ts';
import { prepareKVBlocks } from './kv-blocks.ts';

answerOrders(() => {
  const db = openStoreDatabase(workerData as string);
  const close = (): void => {
    db.close();
  };
  try {
    // A small cache is enough: each page is read once.
    db.pragma('cache_size = -2000');
    db.exec('BEGIN');
    // The first read pins the view.
    db.prepare('SELECT 1 FROM kvStore LIMIT 1').get();
    return { answer: prepareKVBlocks(db), close };
  } catch (error) {
    close();
    throw error;
  }
});
