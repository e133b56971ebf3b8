// What every client of the tests has in common: it prints its findings as one line of JSON and ends
// with status 0, or says what went wrong and ends with status 1.
import { options } from './serve.mjs';

export { options };

export async function client(main) {
  try {
    console.log(JSON.stringify(await main(options)));
    process.exit(0);
  } catch (error) {
    console.error(error?.stack ?? error);
    for (let cause = error?.cause; cause; cause = cause.cause) {
      console.error('caused by:', cause?.stack ?? JSON.stringify(cause));
    }
    process.exit(1);
  }
}

export function assert(condition, message) {
  if (!condition) throw new Error(`expected: ${message}`);
}

/** The header and the claims of a compact JWS, nothing checked. */
export function decode(token) {
  const part = (i) => JSON.parse(Buffer.from(token.split('.')[i], 'base64url').toString());
  return { header: part(0), claims: part(1) };
}
