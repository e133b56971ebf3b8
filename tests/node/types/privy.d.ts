// As @privy-io/react-auth 3.45.0 declares them. The package itself brings 1.2 GB of wallets along.
declare module "@privy-io/react-auth" {
  export function PrivyProvider(props: {
    appId: string;
    children: import("react").ReactNode;
  }): import("react").JSX.Element;
  export function usePrivy(): {
    ready: boolean;
    authenticated: boolean;
    getAccessToken: () => Promise<string | null>;
  };
}
