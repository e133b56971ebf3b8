// As react-native 0.88 and expo-sqlite declare them. The packages bring a phone along.
declare module "react-native" {
  export const AppState: {
    addEventListener(event: "change", listener: (state: "active" | "background" | "inactive") => void): { remove(): void };
  };
}

declare module "expo-sqlite/localStorage/install" {}
