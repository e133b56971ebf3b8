// Signs up at Better Auth and asks for the token of the session, as its own client does.
import { Browser } from '../lib/browser.mjs';
import { assert, client } from '../lib/client.mjs';

client(async ({ url, origin = url, email = 'ada@example.test' }) => {
  const browser = new Browser();
  const signedUp = await browser.fetch(`${url}/api/auth/sign-up/email`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin },
    body: JSON.stringify({ name: 'Ada', email, password: 'a-long-password' }),
  });
  assert(signedUp.status === 200, `a sign-up, not ${signedUp.status}: ${await signedUp.clone().text()}`);
  const answer = await browser.fetch(`${url}/api/auth/token`);
  const session = await browser.fetch(`${url}/api/auth/get-session`);
  return { ...(await answer.json()), session: await session.json(), header: session.headers.get('set-auth-jwt') };
});
