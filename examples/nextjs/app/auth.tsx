"use client"; // wrap it around {children} in app/layout.tsx
// Privy; the proxy's configuration is in docs/issuers/privy.md.
import { PrivyProvider, usePrivy } from "@privy-io/react-auth";
import { ConvexProviderWithAuth, ConvexReactClient } from "convex/react";
import { useCallback, useMemo, type ReactNode } from "react";
import { countersign } from "./countersign";
import { retry } from "./retry";

const PROXY = "https://login.example.com";
const convex = new ConvexReactClient(process.env.NEXT_PUBLIC_CONVEX_URL!, { initialAuthTokenReuse: true });

function useAuthFromPrivy() {
  const { ready, authenticated, getAccessToken } = usePrivy();
  // Privy renews a token that is about to end; it cannot be forced to.
  const fetchAccessToken = useCallback(async () => {
    const token = await retry(getAccessToken);
    return token ? countersign(PROXY, token, { type: "access_token" }) : null;
  }, [getAccessToken]);
  return useMemo(
    () => ({ isLoading: !ready, isAuthenticated: authenticated, fetchAccessToken }),
    [ready, authenticated, fetchAccessToken],
  );
}

export const AuthProvider = ({ children }: { children: ReactNode }) => (
  <PrivyProvider appId="your-privy-app-id">
    <ConvexProviderWithAuth client={convex} useAuth={useAuthFromPrivy}>
      {children}
    </ConvexProviderWithAuth>
  </PrivyProvider>
);
