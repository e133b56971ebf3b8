
// ---- a pasted token: what `countersign inspect` prints, the verdict first
const SAYS = {
  as_it_stands: ["good", "✓", "accepted as it stands"],
  countersigned: ["warn", "✗", "refused as it stands, accepted once countersigned"],
  refused: ["bad", "✗", "refused, and never countersigned"],
};
const code = (name, value) => [el("h3", {}, name), el("pre", { tabindex: "0", role: "region", "aria-label": name }, JSON.stringify(value, null, 2))];
/** The verdict of one profile. `own`: it is the profile of this proxy, which is shown first. */
function verdict(view, own) {
  const [kind, sign, text] = SAYS[view.outcome] || ["", "", words(view.outcome)];
  const notes = view.reasons.map((r) => el("li", {}, prose(r.text), " ", el("code", { class: "soft" }, r.code)));
  if (own) return el("div", { class: "notice " + (kind === "bad" ? "" : kind) }, el("p", {}, el("b", {}, (view.profile === "convex" ? "Convex" : view.profile) + ": " + text + ".")), notes.length ? el("ul", {}, notes) : null);
  return el("tr", {}, el("th", { scope: "row" }, view.profile), el("td", {}, badge(kind, sign + " " + text)), el("td", {}, el("ul", { class: "reasons" }, notes)));
}
function decoded(i) {
  if (i.form === "malformed") return [el("p", { class: "notice" }, el("b", {}, "This is not a token: "), i.notes.map((note) => note.text).join("; ") + ".")];
  const mine = last && last.profile.name, own = i.profiles.filter((view) => view.profile === mine), others = i.profiles.filter((view) => view.profile !== mine);
  const out = [el("h3", {}, "What a verifier would say, were the signature good"), ...own.map((view) => verdict(view, true))];
  if (i.notes.length) out.push(el("ul", { class: "notes" }, i.notes.map((note) => el("li", {}, note.text))));
  if (i.times.length) out.push(table("Its times", ["Claim", "When", "UTC"], i.times.map((t) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, t.claim)), el("td", {}, t.relative), el("td", {}, t.utc || "–")))));
  if (i.header) out.push(...code("Header", i.header));
  if (i.claims) out.push(...code("Claims", i.claims));
  if (i.signature_bytes !== null) out.push(el("p", { class: "soft" }, "Signature: " + count(i.signature_bytes) + " bytes, not checked here."));
  if (others.length) out.push(table("Other profiles", ["Profile", "It would say", "Why"], others.map((view) => verdict(view, false))));
  return out;
}
const wrong = (text) => [el("p", { class: "notice" }, text)];
async function inspect(token) {
  try {
    const answer = await fetch("/api/inspect", { method: "POST", headers: { "content-type": "application/jwt" }, body: token, cache: "no-store" });
    const body = await answer.json();
    return answer.ok ? decoded(body) : wrong(body.error_description || "It cannot be decoded.");
  } catch (error) {
    return wrong("The process does not answer (" + error.message + ").");
  }
}
$("inspect").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = $("token").value.trim();
  $("decoded").replaceChildren(...(token ? await inspect(token) : wrong("Paste a token first.")));
  if (!token) $("token").focus();
  mark();
});
$("clear").addEventListener("click", () => { $("token").value = ""; $("decoded").replaceChildren(); $("token").focus(); });
