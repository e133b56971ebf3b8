
// ---- drawing: a part is replaced only when its content changed, so that focus and selection stay
const drawn = new Map();
function draw(id, data, make) {
  const key = JSON.stringify(data);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  const focus = document.activeElement && $(id).contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  $(id).replaceChildren(...make());
  if (focus) for (const node of $(id).querySelectorAll("[aria-label]")) if (node.getAttribute("aria-label") === focus) { node.focus({ preventScroll: true }); break; }
}
let last = null;
const SHOW = 50;
function show(s) {
  last = s;
  $("ready").className = "badge " + (!s.ready.ready ? "bad" : s.ready.degraded ? "warn" : "good");
  const word = !s.ready.ready ? "not ready" : s.ready.degraded ? "degraded" : "ready";
  if ($("ready").textContent !== word) $("ready").textContent = word;
  document.title = (word === "ready" ? "" : "! ") + "countersign: " + word;
  $("updated").textContent = "as of " + new Date(s.at * 1000).toLocaleTimeString("en-GB");
  $("trouble").className = "notice" + (s.ready.ready ? " warn" : "");
  $("trouble").hidden = s.ready.reasons.length === 0;
  draw("trouble", s.ready.reasons, () => [el("b", {}, s.ready.ready ? "Ready, but:" : "Not ready:"), el("ul", {}, s.ready.reasons.map((r) => el("li", {}, r)))]);
  const minute = s.now - s.started < 120 ? s.now : Math.floor(s.now / 60), why = outage(s);
  draw("upstream", [s.upstream, why, s.now], () => upstream(s));
  $("h-ups").parentElement.classList.toggle("bad", why !== null);
  draw("setup", [s.setup, s.profile, s.upstream && s.upstream.address], () => setup(s));
  draw("summary", [s.profile, s.tokens, s.log_lines_lost, minute], () => summary(s));
  const wanted = $("filter").value.trim().toLowerCase();
  const trouble = { cold: 0, failing: 1, stale: 1 };
  const rank = (i) => i.alarms.length ? 0 : trouble[i.state] === undefined ? 2 : trouble[i.state];
  const found = s.issuers.filter((i) => !wanted || (i.name + " " + i.issuers.join(" ")).toLowerCase().includes(wanted)).sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  const d = s.discovery;
  draw("discovery", d, () => d ? [d.state === "learnt" ? "Learnt from the auth server: " : "Discovery: ", d.text] : []);
  $("filter-row").hidden = s.issuers_total <= 5;
  $("shown").textContent = Math.min(SHOW, found.length) + " of " + count(s.issuers_total) + (s.issuers_total > s.issuers.length ? " (the first " + count(s.issuers.length) + " can be searched)" : "");
  draw("issuers", [wanted, s.now - s.now % 5, found.slice(0, SHOW)], () => found.length ? found.slice(0, SHOW).map((i) => issuer(s, i)) : [el("p", { class: "soft" }, "No issuer.")]);
  draw("sets", s.sets, () => sets(s));
  draw("signing", [s.signing, s.store, Math.floor(s.now / 30), $("signing").clientWidth], () => signing(s));
  draw("tokens", s.tokens, () => tokens(s));
  mark();
  $("build").textContent = "countersign " + s.version;
}
async function poll() {
  try {
    const answer = await fetch("/api/status", { headers: { accept: "application/json" }, cache: "no-store" });
    if (!answer.ok) throw new Error("status " + answer.status);
    const s = await answer.json();
    s.at = Date.now() / 1000;
    remember(s);
    show(s);
    $("plots").replaceChildren(...plots());
  } catch (error) {
    $("ready").className = "badge bad";
    $("ready").textContent = "no answer";
    document.title = "! countersign: no answer";
    $("updated").textContent = "the process does not answer (" + error.message + ")";
  }
}
let timer = null;
function run() { timer = setInterval(() => { if (!document.hidden) poll(); }, 2000); }
$("pause").addEventListener("click", () => {
  const paused = timer !== null;
  if (paused) { clearInterval(timer); timer = null; } else { poll(); run(); }
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Resume updates" : "Pause updates";
});
addEventListener("resize", () => last && show(last));
// Without https the browser offers no clipboard: then the text is selected, for the user to copy.
$("setup").addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  const text = button.closest(".copied").querySelector("pre");
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(text);
    button.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 3000);
});
$("filter").addEventListener("input", () => last && show(last));
poll(); run();
