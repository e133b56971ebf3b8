// A player's login: to the Worker, to Steam, and back with the token. `url`: where the Worker is reached; `iss`: where it thinks it is.
import { Browser } from '../lib/browser.mjs';
import { assert, client } from '../lib/client.mjs';

client(async ({ url, iss = url }) => {
  const browser = new Browser();
  const away = await browser.fetch(`${url}/login`);
  assert(away.status === 302, `a redirect to Steam, not ${away.status}: ${await away.clone().text()}`);
  const back = await browser.fetch(away.headers.get('location'));
  const callback = new URL(back.headers.get('location').replace(iss, url));
  const answer = await browser.fetch(callback);
  assert(answer.status === 200, `a token, not ${answer.status}: ${await answer.clone().text()}`);
  callback.searchParams.set('openid.sig', 'forged');
  const forged = await browser.fetch(callback);
  return { ...(await answer.json()), forged: forged.status };
});
