/** The second third of the scenarios (agreement.ts). */
import { agreement } from './agreement.ts';

agreement(2, 3);
