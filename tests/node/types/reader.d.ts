// What a reader's own project brings along: the environment as Vite declares it, and the library
// that `docs/client.md` leaves open.
interface ImportMeta {
  readonly env: Record<string, string>;
}

declare module "*/your-auth" {
  export function useYourAuth(): {
    isLoading: boolean;
    isAuthenticated: boolean;
    getToken(options: { ignoreCache: boolean }): Promise<string | null>;
  };
}

// As Node's and Expo's types have it.
declare var process: { env: Record<string, string | undefined> };
