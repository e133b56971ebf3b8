// As @privy-io/react-auth 3.45.0 declares them. The package itself brings 1.2 GB of wallets along.
declare module "@privy-io/react-auth" {
  export function usePrivy(): {
    ready: boolean;
    authenticated: boolean;
    getAccessToken: () => Promise<string | null>;
  };
}
