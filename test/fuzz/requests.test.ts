import { testFuzzing } from './short-run.ts';

await testFuzzing('requests', 'socket');
