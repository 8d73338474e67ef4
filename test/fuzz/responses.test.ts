import { testFuzzing } from './short-run.ts';

testFuzzing('responses', 'socket');
