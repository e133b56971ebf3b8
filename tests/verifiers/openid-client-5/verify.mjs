// openid-client 5 as a login client: the whole code flow at the issuer, the token of the question left
// aside. It expects RS256 of ID tokens unless told otherwise.
import { Issuer, generators } from 'openid-client-5';

import { Browser } from '../../node/lib/browser.mjs';
import { answer, packages } from '../lib/answer.mjs';

const callback = 'https://app.example.test/cb';

await answer(packages('openid-client-5'), async ({ issuer, audience }) => {
  const found = await Issuer.discover(issuer);
  const app = new found.Client({
    client_id: audience,
    client_secret: 'a-secret-of-the-tests',
    redirect_uris: [callback],
    response_types: ['code'],
  });
  return async () => {
    if (!found.authorization_endpoint) throw new Error('no authorization_endpoint');
    const [nonce, state, code_verifier] = [generators.nonce(), generators.state(), generators.codeVerifier()];
    const url = app.authorizationUrl({
      scope: 'openid',
      nonce,
      state,
      code_challenge: generators.codeChallenge(code_verifier),
      code_challenge_method: 'S256',
    });
    const back = await new Browser().login(url, callback);
    await app.callback(callback, app.callbackParams(back.url.href), { nonce, state, code_verifier });
  };
});
