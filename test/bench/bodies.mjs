/** The upstreams' answers, for checks of what arrives. */

export const smallBody = 'A small answer, about as long as the JSON of one record.'.padEnd(100, '.');
/** Sent as 16 chunks of 1 KiB. */
export const chunkedBody = Array.from({ length: 16 }, (_, at) => `chunk ${at}`.padEnd(1024, '.')).join('');
