// As @stytch/react declares them. The package brings Stytch's whole interface along.
declare module "@stytch/react" {
  export function useStytch(): {
    session: {
      authenticate(options?: { session_duration_minutes?: number }): Promise<unknown>;
      getTokens(): { session_token: string; session_jwt: string } | null;
    };
  };
  export function useStytchUser(): { user: { user_id: string } | null; fromCache: boolean; isInitialized: boolean };
}
