// openid-client 6 as a login client: the whole code flow at the issuer, the token of the question left
// aside. It takes the algorithms of the discovery document, and checks signatures when told to, as here.
import * as oidc from 'openid-client';

import { Browser } from '../../node/lib/browser.mjs';
import { answer, packages } from '../lib/answer.mjs';

const redirect_uri = 'https://app.example.test/cb';

await answer(packages('openid-client'), async ({ issuer, audience }) => {
  const execute = [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks];
  const config = await oidc.discovery(new URL(issuer), audience, 'a-secret-of-the-tests', undefined, { execute });
  return async () => {
    const [expectedNonce, expectedState] = [oidc.randomNonce(), oidc.randomState()];
    const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
    const url = oidc.buildAuthorizationUrl(config, {
      redirect_uri,
      scope: 'openid',
      nonce: expectedNonce,
      state: expectedState,
      code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
    });
    const back = await new Browser().login(url, redirect_uri);
    const checks = { expectedNonce, expectedState, pkceCodeVerifier, idTokenExpected: true };
    await oidc.authorizationCodeGrant(config, back.url, checks);
  };
});
