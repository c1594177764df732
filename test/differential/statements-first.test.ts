/** The first third of the scenarios (agreement.ts). */
import { agreement } from './agreement.ts';

agreement(1, 3);
