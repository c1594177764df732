/** The third third of the scenarios (agreement.ts). */
import { agreement } from './agreement.ts';

agreement(3, 3);
