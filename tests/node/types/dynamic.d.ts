// As @dynamic-labs/sdk-react-core declares them. The package brings wallets of all kinds along.
declare module "@dynamic-labs/sdk-react-core" {
  export function getAuthToken(): string | undefined;
  export function useDynamicContext(): { sdkHasLoaded: boolean };
  export function useIsLoggedIn(): boolean;
}
