// Better Auth itself with its jwt plugin as it comes: EdDSA, key set at /api/auth/jwks, a token for
// the session at /api/auth/token. `iss` is the address clients know. Kept in memory.
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { toNodeHandler } from 'better-auth/node';
import { jwt } from 'better-auth/plugins';

import { options, serve } from '../lib/serve.mjs';

const tables = { user: [], session: [], account: [], verification: [], jwks: [] };
const auth = betterAuth({
  baseURL: options.iss,
  secret: 'a-secret-of-the-tests-long-enough-for-better-auth',
  database: memoryAdapter(tables),
  emailAndPassword: { enabled: true },
  trustedOrigins: ['*'],
  telemetry: { enabled: false },
  rateLimit: { enabled: false },
  logger: { level: 'error' },
  plugins: [jwt()],
});
serve(toNodeHandler(auth), { jwks: '/api/auth/jwks' });
