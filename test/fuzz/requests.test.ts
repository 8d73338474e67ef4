import { testFuzzing } from './short-run.ts';

testFuzzing('requests', 'socket');
