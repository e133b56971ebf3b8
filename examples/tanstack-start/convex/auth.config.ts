import type { AuthConfig } from "convex/server";

export default {
  providers: [
    {
      type: "customJwt",
      issuer: "https://api.workos.com/user_management/client_01EXAMPLE",
      jwks: "https://login.example.com/.well-known/jwks.json",
      algorithm: "RS256",
      applicationID: "client_01EXAMPLE",
    },
  ],
} satisfies AuthConfig;
