
// ---- the parts of the page
function summary(s) {
  const t = s.tokens;
  const looked = t.cache.hits + t.cache.misses;
  return [
    fact("Running for", span(s.now - s.started)),
    fact("Profile", s.profile.name),
    fact("Countersigned", count(t.countersigned)),
    fact("Passed as they stood", count(t.passed)),
    fact("Refused", count(t.refused)),
    fact("Cache hits", looked ? Math.round(100 * t.cache.hits / looked) + " %" : "–"),
    ...(s.log_lines_lost ? [fact("Log", badge("warn", count(s.log_lines_lost) + " lines lost"))] : []),
  ];
}
/** Why logins fail, or null. */
function outage(s) {
  const u = s.upstream, cold = s.ready.ready ? [] : s.issuers.filter((i) => i.state === "cold");
  if (u && u.failing_since !== null) return "The auth server has given nothing but failures for " + span(s.now - u.failing_since) + ".";
  if (!s.issuers.length) return "The issuer is not known yet, so no token can be checked.";
  if (cold.length) return "There is no key set of " + listed(cold.slice(0, 3).map((i) => i.name)) + (cold.length > 3 ? " and others" : "") + " yet, so no token of it can be checked.";
  return null;
}
function upstream(s) {
  const u = s.upstream, why = outage(s);
  const badges = [why ? badge("bad", "logins fail") : !u || u.last_answer === null ? badge("", u ? "not asked yet" : "none") : u.recent_failures ? badge("warn", "answers, with failures") : badge("good", "answers")];
  const parts = [el("p", { class: "head" }, badges, why ? [" ", why] : "")];
  if (!u) return [...parts, el("p", { class: "soft" }, "No auth server is behind this proxy: it serves key sets and the token exchange.")];
  parts.push(el("dl", { class: "facts" }, fact("Address", el("code", {}, u.address)),
    fact("Last answer", u.last_answer === null ? "none since the start" : ago(s.now, u.last_answer)),
    fact("Failures in the last five minutes", count(u.recent_failures))));
  const e = u.last_error;
  if (e) parts.push(el("p", { class: u.failing_since !== null ? "notice" : u.recent_failures ? "notice warn" : "soft" }, el("b", {}, "Last failure, " + ago(s.now, e.at) + ": "), e.text, " ", el("span", { class: "soft" }, "(", el("code", {}, e.code), ")")));
  return parts;
}
/** Text, and a button that copies it. */
const copied = (name, text) => el("div", { class: "copied" }, el("div", { class: "row" }, el("span", {}, name), el("button", { type: "button", class: "plain copy", "aria-label": "Copy: " + name }, "Copy")),
  el("pre", { tabindex: "0", "aria-label": name, role: "region" }, text));
/** `text` as one word of a shell's command line, quoted if needed. */
const word = (text) => /^[\w./:@%+,-]+$/.test(text) ? text : "'" + text.replaceAll("'", "'\\''") + "'";
function setup(s) {
  const url = s.setup.public_url, parts = [];
  parts.push(el("p", {}, "Public URL: ", url ? el("code", {}, url) : [el("b", {}, "not configured. "), ...prose("Set `--public-url` or `public_url` to the address that clients use.")]));
  if (s.setup.auth_config) parts.push(copied("convex/auth.config.ts", s.setup.auth_config));
  else parts.push(el("p", { class: "soft" }, s.profile.name === "convex" ? "The block for auth.config.ts appears here once the issuer is known." : "Its verifier reads the key set at " + (url || "the public URL") + "/.well-known/jwks.json."));
  if (url) parts.push(copied("Ask this proxy as a verifier does; with --token TOKEN about a token too", "countersign doctor " + word(url) + (s.setup.issuer && s.setup.issuer !== url ? " --issuer " + word(s.setup.issuer) : "")));
  if (s.upstream) parts.push(copied("Ask the auth server behind it", "countersign doctor " + word(s.upstream.address)));
  return parts;
}
const STATES = {
  fresh: ["good", "fresh"], stale: ["warn", "stale, the last good set is served"],
  failing: ["warn", "last fetch failed"], cold: ["bad", "no key set yet"], fixed: ["good", "from the configuration"],
};
function issuer(s, i) {
  const [kind, text] = STATES[i.state] || ["", i.state];
  const parts = [el("div", { class: "head" }, el("h3", {}, i.name), badge(kind, text))];
  parts.push(el("dl", { class: "facts wide" }, fact("iss", i.issuers.map((iss, n) => [n ? ", " : "", el("code", {}, iss)]).flat()),
    fact("Keys from", el("code", {}, i.source))));
  const facts = [];
  if (i.state !== "fixed") {
    facts.push(fact("Key set read", i.fetched === null ? "never" : ago(s.now, i.fetched)));
    facts.push(fact("Next refresh", i.next_refresh === null ? "–" : ago(s.now, i.next_refresh)));
    facts.push(fact("Fetches", i.fetches.length ? i.fetches.map((f) => count(f.count) + " × " + said(FETCHES, f.outcome)).join(", ") : "none"));
  }
  if (facts.length) parts.push(el("dl", { class: "facts" }, facts));
  if (i.last_error) {
    parts.push(el("p", { class: i.state === "cold" ? "notice" : "notice warn" },
      el("b", {}, "Last error, " + ago(s.now, i.last_error.at) + ": "), i.last_error.text, " ", el("span", { class: "soft" }, "(", el("code", {}, i.last_error.code), ")")));
  }
  for (const alarm of i.alarms) {
    const what = alarm.code === "private_key_leaked" ? "the private part of a key" : alarm.code === "secret_leaked" ? "a symmetric secret" : words(alarm.code);
    parts.push(el("p", { class: "notice" }, el("b", {}, "The issuer publishes " + what), " at ", el("code", {}, alarm.path),
      alarm.members.length ? " (" + alarm.members.join(", ") + ")" : "", ". It is not passed on from here, but the world can read it there. Have the issuer replace this key now."));
  }
  if (i.keys.length) parts.push(keys(s, i));
  return el("article", { class: "issuer", "aria-label": "Issuer " + i.name }, parts);
}
const EFFECTS = { same: ["", "as it was"], repaired: ["warn", "repaired"], dropped: ["bad", "dropped"], left_out: ["", "not published"], noted: ["", "noted"] };
function keys(s, i) {
  const rows = i.keys.map((k) => {
    const [kind, text] = EFFECTS[k.effect] || ["", k.effect];
    const reasons = k.changes.map((c) => el("li", {}, prose(sentence(s, c)), " ", el("span", { class: "soft" }, el("code", {}, c.path)),
      c.code === "alg_profile" ? null : c.before !== null || c.after !== null ? [" ", el("span", { class: "from" }, c.before === null ? "nothing" : c.before),
        " → ", el("span", { class: "to" }, c.after === null ? "nothing" : c.after)] : null));
    return el("tr", { class: k.effect },
      el("th", { scope: "row" }, el("code", {}, k.path)),
      el("td", {}, k.kid_before === null ? el("span", { class: "soft" }, "–") : el("code", {}, k.kid_before)),
      el("td", {}, badge(kind, text)),
      el("td", {}, k.served_as === null ? el("span", { class: "soft" }, "not served") : [el("code", {}, k.served_as), " ", k.alg || ""]),
      el("td", {}, reasons.length ? el("ul", { class: "reasons" }, reasons) : el("span", { class: "soft" }, "nothing to change")));
  });
  return table("The key set of " + i.name + ": before and after", ["In the document", "Its kid", "What was done", "Served as", "Why"], rows, undefined, "keys");
}
function sets(s) {
  if (!s.sets.length) return [el("p", { class: "soft" }, "Nothing is served yet.")];
  const same = new Map();
  for (const set of s.sets) {
    const key = JSON.stringify([set.max_age, set.keys]);
    same.set(key, [...(same.get(key) || []), set]);
  }
  return [...same.values()].map((group) => {
    const paths = group.map((set) => set.path), { keys, max_age } = group[0];
    const names = paths.map((path, n) => [n ? ", " : "", el("code", {}, path)]);
    if (!keys.length) return el("p", {}, names, " ", badge("bad", "no set yet"));
    return table([names, " · cached for " + span(max_age) + (paths.length > 1 ? " · the same set at each address" : "")], ["kid", "Kind", "alg", "Whose"],
      keys.map((k) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, k.kid)), el("td", {}, k.kind), el("td", {}, k.alg || "–"),
        el("td", {}, k.origin === "own" ? badge("good", ORIGINS.own) : said(ORIGINS, k.origin)))), "Set at " + paths.join(", "));
  });
}
function tokens(s) {
  const t = s.tokens;
  const by = t.by.map((r) => el("tr", {}, el("th", { scope: "row" }, r.issuer), el("td", {}, r.alg), el("td", {}, said(OUTCOMES, r.outcome)), el("td", { class: "num" }, count(r.count))));
  const refused = t.refusals.map((r) => el("tr", {}, el("th", { scope: "row" }, prose(said(REFUSALS, r.code)), " ", el("code", { class: "soft" }, r.code)), el("td", {}, r.issuer), el("td", { class: "num" }, count(r.count))));
  return [
    by.length ? table("By issuer and algorithm", ["Issuer", "alg", "Outcome", "#Tokens"], by) : el("p", { class: "soft" }, "No token yet."),
    refused.length ? table("Refused, by reason", ["Why", "Issuer", "#Tokens"], refused) : el("p", { class: "soft" }, "None refused."),
  ];
}
