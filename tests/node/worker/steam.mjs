// A Cloudflare Worker that logs players in with Steam (OpenID 2.0) and issues them a token: the kind
// people write in an evening, hand-made key set included (a bare array, as text). Web platform only.
// Bindings: ISSUER (its own public address), AUDIENCE, STEAM (Steam's, or the test's), KEY (private JWK, P-256).
const OPENID = 'http://specs.openid.net/auth/2.0';
const encode = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
const text = (value) => encode(new TextEncoder().encode(JSON.stringify(value)));

async function issue(env, steamId) {
  const { kid, ...jwk } = JSON.parse(env.KEY);
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  const iat = Math.floor(Date.now() / 1000);
  const input = `${text({ alg: 'ES256', typ: 'JWT', kid })}.${text({
    iss: env.ISSUER, aud: env.AUDIENCE, sub: steamId, iat, exp: iat + 3600,
  })}`;
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, new TextEncoder().encode(input));
  return `${input}.${encode(signature)}`;
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    switch (url.pathname) {
      case '/jwks': {
        const { kty, crv, x, y, kid } = JSON.parse(env.KEY);
        return new Response(JSON.stringify([{ kty, crv, x, y, kid, alg: 'ES256', use: 'sig' }]));
      }
      case '/login': {
        const to = new URL('/openid/login', env.STEAM);
        to.search = new URLSearchParams({
          'openid.ns': OPENID,
          'openid.mode': 'checkid_setup',
          'openid.return_to': `${env.ISSUER}/callback`,
          'openid.realm': env.ISSUER,
          'openid.identity': `${OPENID}/identifier_select`,
          'openid.claimed_id': `${OPENID}/identifier_select`,
        });
        return Response.redirect(to.href, 302);
      }
      case '/callback': {
        const answer = new URLSearchParams(url.searchParams);
        answer.set('openid.mode', 'check_authentication');
        const check = await fetch(new URL('/openid/login', env.STEAM), { method: 'POST', body: answer });
        const id = /\/openid\/id\/(\d{17})$/.exec(url.searchParams.get('openid.claimed_id') ?? '')?.[1];
        if (!id || !/^is_valid:true$/m.test(await check.text())) return new Response('no', { status: 403 });
        return Response.json({ token: await issue(env, id) });
      }
      default:
        return new Response('not found', { status: 404 });
    }
  },
};
