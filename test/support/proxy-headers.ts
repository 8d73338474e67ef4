/**
 * PROXY headers of version 2, sound or not, from their parts.
 */
export interface V2Parts {
  readonly command?: number;
  readonly family?: number;
  readonly addresses?: readonly number[];
  readonly tlvs?: readonly (readonly [type: number, value: Buffer])[];
  /** What follows the TLVs. */
  readonly rest?: Buffer;
}

/** A header: by default of a client at 192.0.2.1:56324 that connected to 198.51.100.7:443. */
export function v2({ command = 0x21, family = 0x11, addresses = IPV4, tlvs = [], rest = NONE }: V2Parts = {}): Buffer {
  const block = Buffer.concat([Buffer.from(addresses), ...tlvs.flatMap(([type, value]) => [
    Buffer.from([type, value.length >> 8, value.length & 0xff]), value,
  ]), rest]);
  const fixed = Buffer.from([command, family, block.length >> 8, block.length & 0xff]);
  return Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'), fixed, block]);
}

const IPV4 = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x01, 0xbb];
const NONE = Buffer.alloc(0);
