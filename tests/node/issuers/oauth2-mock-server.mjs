// npm's oauth2-mock-server with an ES512 key. Options: `iss` (the address clients know).
import { OAuth2Server } from 'oauth2-mock-server';

import { options, ready } from '../lib/serve.mjs';

const server = new OAuth2Server();
await server.issuer.keys.generate('ES512');
await server.start(options.port ?? 0, '127.0.0.1');
server.issuer.url = options.iss ?? server.issuer.url;
ready(server.address().port, { jwks: '/jwks' });
