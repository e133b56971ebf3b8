// WorkOS AuthKit; the proxy's configuration is in docs/issuers/workos.md.
// Wrap <AuthProvider> around <Outlet /> in src/routes/__root.tsx. On the server nobody is logged in yet.
import { AuthKitProvider, useAuth } from "@workos-inc/authkit-react";
import { ConvexProviderWithAuth, ConvexReactClient } from "convex/react";
import { useCallback, useMemo, type ReactNode } from "react";
import { countersign } from "./countersign";
import { retry } from "./retry";

const PROXY = "https://login.example.com";
const convex = new ConvexReactClient(import.meta.env.VITE_CONVEX_URL, { initialAuthTokenReuse: true });

function useAuthFromAuthKit() {
  const { user, isLoading, getAccessToken } = useAuth();
  const fetchAccessToken = useCallback(
    async ({ forceRefreshToken }: { forceRefreshToken: boolean }) => {
      const token = await retry(() => getAccessToken({ forceRefresh: forceRefreshToken }));
      return token ? countersign(PROXY, token, { type: "access_token" }) : null;
    },
    [getAccessToken],
  );
  return useMemo(() => ({ isLoading, isAuthenticated: !!user, fetchAccessToken }), [isLoading, user, fetchAccessToken]);
}

export const AuthProvider = ({ children }: { children: ReactNode }) => (
  <AuthKitProvider clientId="client_01EXAMPLE">
    <ConvexProviderWithAuth client={convex} useAuth={useAuthFromAuthKit}>
      {children}
    </ConvexProviderWithAuth>
  </AuthKitProvider>
);
