import type { AuthConfig } from "convex/server";

export default {
  providers: [
    {
      type: "customJwt",
      issuer: "https://your-tenant.logto.app/oidc",
      jwks: "https://login.example.com/.well-known/jwks.json",
      algorithm: "RS256",
      applicationID: "your-app-id",
    },
  ],
} satisfies AuthConfig;
