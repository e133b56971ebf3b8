// retry.ts
/** The token that `get` gives, or `null` after four tries: the console says why. Never rejects. */
export async function retry(get: () => Promise<string | null | undefined>): Promise<string | null> {
  for (let wait = 500; ; wait *= 2) {
    try {
      return (await get()) ?? null;
    } catch (error) {
      console.error("no token from the auth library:", error);
      if (wait > 2_000) return null;
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}
