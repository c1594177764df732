/** The lake thread's entry. */
import { parentPort } from 'node:worker_threads';
import { systemClock } from '../clock.ts';
import { serve } from '../rpc.ts';
import { createLake } from '../storage/iceberg/lake.ts';

serve(parentPort!, createLake(systemClock));
