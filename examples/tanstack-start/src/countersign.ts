// countersign.ts
/** A token the verifier accepts, or `null` where there is none: the console says why. Never rejects. */
export async function countersign(
  proxy: string,
  token: string,
  options: { audience?: string; type?: "jwt" | "id_token" | "access_token"; patience?: number } = {},
): Promise<string | null> {
  const form = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: token,
    subject_token_type: `urn:ietf:params:oauth:token-type:${options.type ?? "jwt"}`,
    ...(options.audience ? { audience: options.audience } : {}),
  });
  const end = Date.now() + (options.patience ?? 60_000);
  for (let wait = 400; ; wait = Math.min(1.5 * wait, 4_000)) {
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), 10_000);
    let failure = "";
    let retryAfter = 0;
    try {
      const answer = await fetch(`${proxy}/_countersign/token`, {
        method: "POST",
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
        body: form.toString(),
        signal: timeout.signal,
      });
      if (answer.ok) return (await answer.json()).access_token;
      failure = `${answer.status} ${(await answer.text()).trim()}`;
      retryAfter = Number(answer.headers.get("Retry-After")) || 0;
      if (answer.status < 500 && answer.status !== 429) {
        console.error(`countersign: ${proxy} refuses the token: ${failure}`);
        return null;
      }
    } catch (error) {
      failure = `no answer (${error}). Is this page's origin in [exchange] cors_origins?`;
    } finally {
      clearTimeout(timer);
    }
    // Half of the wait is random, so that not all pages come back at once.
    const pause = Math.max(wait * (0.5 + Math.random() / 2), Math.min(retryAfter, 15) * 1_000);
    if (Date.now() + pause > end) {
      console.error(`countersign: ${proxy} fails: ${failure}`);
      return null;
    }
    console.warn(`countersign: ${proxy}: ${failure} Next try in ${(pause / 1_000).toFixed(1)} s.`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
