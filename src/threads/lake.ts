/** The lake thread's entry. */
import { parentPort } from 'node:worker_threads';
import { systemClock } from '../clock.ts';
import { serve } from '../rpc.ts';
import { giveWay } from '../thread-priority.ts';
import { createLake } from '../storage/iceberg/lake.ts';

giveWay();
serve(parentPort!, createLake(systemClock));
