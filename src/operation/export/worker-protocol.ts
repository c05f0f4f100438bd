/** The messages between the command and its worker, over their IPC channel. */
import type { PlannedPhase, ProgressTotal } from '../../io/progress.ts';
import type { ExportSummary } from '../../swing-store-export/swing-store-export.ts';
import type { ErrorReport } from '../lock/record.ts';
import type { ExportRequest } from './export-store.ts';

export type ToWorker =
  | { readonly type: 'export'; readonly request: ExportRequest }
  | { readonly type: 'stop'; readonly signal: 'SIGINT' | 'SIGTERM' };

export type FromWorker =
  | { readonly type: 'plan'; readonly phases: readonly PlannedPhase[] }
  | { readonly type: 'phase'; readonly name: string; readonly total: ProgressTotal }
  | { readonly type: 'advance'; readonly bytes: number; readonly items: number }
  | { readonly type: 'note'; readonly message: string }
  | { readonly type: 'started'; readonly height: number }
  | { readonly type: 'done'; readonly summary: ExportSummary }
  | { readonly type: 'failed'; readonly error: ErrorReport };
