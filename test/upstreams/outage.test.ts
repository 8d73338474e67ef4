/** All of ten upstreams were down. For seven of ten, see outage.long.test.ts. */
import { testOutage } from '../support/outage.ts';

testOutage(10);
