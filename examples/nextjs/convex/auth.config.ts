import type { AuthConfig } from "convex/server";

export default {
  providers: [
    {
      type: "customJwt",
      issuer: "https://login.example.com",
      jwks: "https://login.example.com/.well-known/jwks.json",
      algorithm: "RS256",
      applicationID: "your-privy-app-id",
    },
  ],
} satisfies AuthConfig;
