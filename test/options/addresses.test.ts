import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAddresses } from '../../src/options/addresses.ts';

function matcher(...list: unknown[]): (address: string) => boolean {
  const problems: string[] = [];
  const matches = readAddresses(list, 'list', problems);
  assert.deepEqual(problems, []);
  return matches;
}

for (const [list, inside, outside] of [
  [['10.0.0.0/8'], ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3', '::FFFF:10.1.2.3'], ['11.0.0.0', '::a01:203', '']],
  [['172.16.0.0/12'], ['172.16.0.0', '172.31.255.255'], ['172.15.255.255', '172.32.0.0']],
  [['10.1.2.3/8'], ['10.0.0.1'], ['11.1.2.3']],
  [['192.0.2.1'], ['192.0.2.1'], ['192.0.2.2', '192.0.2.11', '1192.0.2.1']],
  [['::ffff:10.0.0.0/104'], ['10.1.2.3', '::ffff:10.1.2.3'], ['11.0.0.0']],
  [['::ffff:10.0.0.1'], ['10.0.0.1'], ['10.0.0.2']],
  [['2001:db8:8000::/33'], ['2001:db8:8000::1', '2001:DB8:FFFF::'], ['2001:db8:7fff::1']],
  [['::1'], ['::1', '0:0:0:0:0:0:0:1'], ['127.0.0.1', '::2']],
  [['fe80::/10'], ['fe80::1%eth0', 'febf::1'], ['fec0::1']],
  [['0.0.0.0/0'], ['1.2.3.4', '::ffff:1.2.3.4'], ['::1', '']],
  // Where a list says so little, IPv4 is not meant.
  [['::/0'], ['::1', '2001:db8::1'], ['1.2.3.4', '::ffff:1.2.3.4', '']],
  [['unix'], [''], ['127.0.0.1', '::1']],
  [[], [], ['127.0.0.1', '']],
  [['10.0.0.0/8', '::1', 'unix'], ['10.1.1.1', '::1', ''], ['not an address', '10.1.1', '10.1.1.1 ', '010.1.1.1']],
] as const) {
  test(`${JSON.stringify(list)} matches what is in it, and nothing else`, () => {
    const matches = matcher(...list);
    for (const address of inside) assert.equal(matches(address), true, address);
    for (const address of outside) assert.equal(matches(address), false, address);
  });
}

test('each wrong entry is named with its place', () => {
  const problems: string[] = [];
  readAddresses([
    '10.0.0.0/33', '10.0.0/8', 'localhost', '::/129', '10.0.0.0/08', '10.0.0.0/-1', '*', 'unix:/run/x', '::ffff:0:0/64',
    '10.0.0.0/8,::1', 7, 'fe80::1%eth0', '',
  ], 'trustForwarded', problems);
  const must = 'must be an address, a subnet such as 10.0.0.0/8, or unix';
  assert.deepEqual(problems, [
    `trustForwarded[0]: ${must} (got "10.0.0.0/33")`,
    `trustForwarded[1]: ${must} (got "10.0.0/8")`,
    `trustForwarded[2]: ${must} (got "localhost")`,
    `trustForwarded[3]: ${must} (got "::/129")`,
    `trustForwarded[4]: ${must} (got "10.0.0.0/08")`,
    `trustForwarded[5]: ${must} (got "10.0.0.0/-1")`,
    `trustForwarded[6]: ${must} (got "*"; for all addresses write "0.0.0.0/0" and "::/0")`,
    `trustForwarded[7]: ${must} (got "unix:/run/x"; did you mean "unix"?)`,
    `trustForwarded[9]: ${must} (got "10.0.0.0/8,::1"; write each address as an entry of its own)`,
    `trustForwarded[10]: ${must} (got 7)`,
    `trustForwarded[11]: ${must} (got "fe80::1%eth0")`,
    `trustForwarded[12]: ${must} (got "")`,
  ]);
  readAddresses('10.0.0.0/8', 'list', problems);
  assert.match(problems.at(-1) ?? '', /^list: must be a list of addresses, e\.g\. .* \(got "10\.0\.0\.0\/8"\)$/);
});
