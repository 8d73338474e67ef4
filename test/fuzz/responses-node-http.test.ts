import { testFuzzing } from './short-run.ts';

await testFuzzing('responses', 'node:http');
