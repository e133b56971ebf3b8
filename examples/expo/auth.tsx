// Supabase; the proxy's configuration is in docs/issuers/supabase.md. An app has no origin: `cors_origins` may be empty.
import "expo-sqlite/localStorage/install"; // keeps the session
import { createClient, type Session } from "@supabase/supabase-js";
import { ConvexProviderWithAuth, ConvexReactClient } from "convex/react";
import { useCallback, useEffect, useMemo, useState, type ReactNode } from "react";
import { AppState } from "react-native";
import { countersign } from "./countersign";
import { retry } from "./retry";

const PROXY = "https://login.example.com";
const convex = new ConvexReactClient(process.env.EXPO_PUBLIC_CONVEX_URL!, {
  initialAuthTokenReuse: true,
  unsavedChangesWarning: false, // there is no window to close
});
export const supabase = createClient("https://your-project.supabase.co", "your-publishable-key", {
  auth: { storage: localStorage, detectSessionInUrl: false },
});

function useAuthFromSupabase() {
  const [session, setSession] = useState<Session | null | undefined>(undefined);
  useEffect(() => {
    supabase.auth.getSession().then(({ data }) => setSession(data.session));
    const { data } = supabase.auth.onAuthStateChange((_event, next) => setSession(next));
    // In the background timers stand still, and so does the refresh.
    const state = AppState.addEventListener("change", (now) =>
      now === "active" ? supabase.auth.startAutoRefresh() : supabase.auth.stopAutoRefresh(),
    );
    return () => {
      data.subscription.unsubscribe();
      state.remove();
    };
  }, []);
  const fetchAccessToken = useCallback(async ({ forceRefreshToken }: { forceRefreshToken: boolean }) => {
    const token = await retry(async () => {
      const { data, error } = await (forceRefreshToken ? supabase.auth.refreshSession() : supabase.auth.getSession());
      if (error) throw error;
      return data.session?.access_token;
    });
    return token ? countersign(PROXY, token, { type: "access_token" }) : null;
  }, []);
  const isAuthenticated = !!session;
  return useMemo(
    () => ({ isLoading: session === undefined, isAuthenticated, fetchAccessToken }),
    [session === undefined, isAuthenticated, fetchAccessToken],
  );
}

export const AuthProvider = ({ children }: { children: ReactNode }) => (
  <ConvexProviderWithAuth client={convex} useAuth={useAuthFromSupabase}>
    {children}
  </ConvexProviderWithAuth>
);
