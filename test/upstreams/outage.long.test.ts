/** Seven of ten upstreams were down while the others served. */
import { testOutage } from '../support/outage.ts';

testOutage(7);
