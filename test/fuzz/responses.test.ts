import { testFuzzing } from './short-run.ts';

await testFuzzing('responses', 'socket');
