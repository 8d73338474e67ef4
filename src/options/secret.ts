/**
 * Secrets: comparing them, and what they may be made of.
 */

/** Whether `given` is `secret`, in a time that does not tell how much of it is right. */
export function isSameSecret(given: string, secret: string): boolean {
  let differences = given.length ^ secret.length;
  for (let i = 0; i < given.length; i++) differences |= given.charCodeAt(i) ^ secret.charCodeAt(i % secret.length);
  return differences === 0 && secret !== '';
}

/** Whether `value` can be sent as a token in a header. */
export function isSecret(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{1,1024}$/.test(value);
}
