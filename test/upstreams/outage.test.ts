/** All of ten upstreams were down: outage.long.test.ts has most of them. */
import { testOutage } from '../support/outage.ts';

testOutage(10);
