/**
 * What `--check` prints of TLS.
 */
import { day } from './certificates.ts';
import { TLS_NUMBERS, type TlsSettings } from './settings.ts';

export function tlsLines({
  pairs, clientCa, clientOptional, minVersion, maxVersion, ciphers, http2, handshakeTimeoutMs, maxHandshakes,
  ticketRotationMs,
}: TlsSettings): readonly string[] {
  const numbers = {
    handshakeTimeout: handshakeTimeoutMs / 1_000, maxHandshakes, ticketRotation: ticketRotationMs / 1_000,
  };
  return [
    ...pairs.map(({ path, names, keyType, expiresAt }, i) => [
      `${path}: ${names.length === 0 ? 'no names' : names.join(' ')}`, keyType, `expires on ${day(expiresAt)}`,
      ...(i === 0 ? ['the default'] : []),
    ].join(', ')),
    ...(clientCa.length === 0 ? []
      : [`client certificates: ${clientOptional ? 'optional' : 'required'}, of ${clientCa.join(', ')}`]),
    ...(minVersion === undefined ? [] : [`minVersion: ${minVersion}`]),
    ...(maxVersion === undefined ? [] : [`maxVersion: ${maxVersion}`]),
    ...(ciphers === undefined ? [] : [`ciphers: ${ciphers}`]),
    ...(http2 ? [] : ['http2: false']),
    ...Object.entries(numbers).filter(([name, value]) => value !== TLS_NUMBERS[name as keyof typeof numbers].fallback)
      .map(([name, value]) => `${name}: ${value}`),
  ];
}
