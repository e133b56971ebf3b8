import type { AuthConfig } from "convex/server";

export default {
  providers: [
    {
      type: "customJwt",
      issuer: "https://your-project.supabase.co/auth/v1",
      jwks: "https://login.example.com/.well-known/jwks.json",
      algorithm: "RS256",
      applicationID: "authenticated",
    },
  ],
} satisfies AuthConfig;
