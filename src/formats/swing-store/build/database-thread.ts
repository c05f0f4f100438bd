/** The thread that fills a new database for `database-writer.ts`. */
import { workerData } from 'node:worker_threads';
import { answerOrders } from '../../../io/threads/asked-thread.ts';
import { carryOut, type DatabaseOrder } from './database-writer.ts';
import { NewDatabase } from './new-database.ts';

answerOrders(() => {
  const database = new NewDatabase(workerData as string);
  return {
    answer: (order: DatabaseOrder) => carryOut(database, order),
    close: () => {
      database.close();
    },
  };
});
