// Logto; the proxy's configuration is in docs/issuers/logto.md.
import { LogtoProvider, useLogto } from "@logto/react";
import { ConvexProviderWithAuth, ConvexReactClient } from "convex/react";
import { useCallback, useMemo, type ReactNode } from "react";
import { countersign } from "./countersign";
import { retry } from "./retry";

const PROXY = "https://login.example.com";
const convex = new ConvexReactClient(import.meta.env.VITE_CONVEX_URL, { initialAuthTokenReuse: true });
const logto = { endpoint: "https://your-tenant.logto.app", appId: "your-app-id" };

function useAuthFromLogto() {
  const { isLoading: busy, isAuthenticated, getIdToken, getAccessToken, clearAccessToken } = useLogto();
  // The library is "loading" during each of its calls. Convex would take that for a new login, and call again.
  const isLoading = busy && !isAuthenticated;
  const fetchAccessToken = useCallback(
    async ({ forceRefreshToken }: { forceRefreshToken: boolean }) => {
      const token = await retry(async () => {
        if (forceRefreshToken) {
          // With none kept, asking for an access token makes the library refresh; a new ID token comes along.
          await clearAccessToken();
          if (!(await getAccessToken())) throw new Error("the token was not renewed"); // it does not reject
        }
        return getIdToken();
      });
      return token ? countersign(PROXY, token, { type: "id_token" }) : null;
    },
    [getIdToken, getAccessToken, clearAccessToken],
  );
  return useMemo(
    () => ({ isLoading, isAuthenticated, fetchAccessToken }),
    [isLoading, isAuthenticated, fetchAccessToken],
  );
}

export const AuthProvider = ({ children }: { children: ReactNode }) => (
  <LogtoProvider config={logto}>
    <ConvexProviderWithAuth client={convex} useAuth={useAuthFromLogto}>
      {children}
    </ConvexProviderWithAuth>
  </LogtoProvider>
);
