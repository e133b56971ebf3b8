
// ---- our keys over time
function signing(s) {
  const ring = s.signing;
  if (!ring.length) return [el("p", { class: "soft" }, "No signing key.")];
  // The axis: from a little before the oldest key to a little after the last known end.
  const times = ring.flatMap((k) => [k.published, k.signs_from, k.signs_until, k.leaves]).filter((t) => t !== null).concat(s.now);
  const lo = Math.min(...times), hi = Math.max(...times), pad = Math.max(60, (hi - lo) * 0.08);
  // One unit is one pixel, so that the text has the same size on a phone.
  const W = Math.max(260, Math.round($("signing").clientWidth)), x = (t) => (Math.min(Math.max(t, lo - pad), hi + pad) - lo + pad) / (hi - lo + 2 * pad) * W;
  const ROW = 40, TOP = 22, H = TOP + ring.length * ROW;
  const pic = svg("svg", { viewBox: `0 0 ${W} ${H}`, "aria-hidden": "true" });
  const now = x(s.now);
  pic.append(svg("line", { class: "nowline", x1: now, x2: now, y1: 16, y2: H }));
  // The labels: both ends of the axis, and the present.
  const ends = [date(lo - pad).slice(5, 16), date(hi + pad).slice(5, 16)];
  if (now > 100) pic.append(svg("text", { x: 0, y: 11 }, ends[0]));
  if (now < W - 100) pic.append(svg("text", { x: W, y: 11, "text-anchor": "end" }, ends[1]));
  pic.append(svg("text", { class: "now", x: now, y: 11, "text-anchor": now < 20 ? "start" : now > W - 20 ? "end" : "middle" }, "now"));
  ring.forEach((k, n) => {
    const y = TOP + n * ROW;
    const bar = (kind, from, to) => {
      if (from === null || to === null || to <= from) return;
      pic.append(svg("rect", { class: "bar " + kind, x: x(from), y: y + 18, width: Math.max(2, x(to) - x(from)), height: 14, rx: 3 }));
    };
    const end = hi + pad;
    bar("next", k.published === null ? lo : k.published, k.signs_from === null ? end : k.signs_from);
    if (k.signs_from !== null && k.state !== "next") bar("active", k.signs_from, k.signs_until === null ? end : k.signs_until);
    if (k.signs_until !== null) bar("retired", k.signs_until, k.leaves === null ? end : k.leaves);
    pic.append(svg("text", { x: 0, y: y + 13 }, k.alg + " " + k.kid.slice(0, 16) + (k.kid.length > 16 ? "…" : "") + " · " + said(RING, k.state)));
  });
  const legend = el("div", { class: "legend", "aria-hidden": "true" },
    el("span", {}, el("i", { class: "next" }), "published, not signing yet"),
    el("span", {}, el("i", { class: "active" }), "signing"), el("span", {}, el("i", { class: "retired" }), "retired, still published"));
  const kinds = { next: "warn", active: "good", retired: "" };
  const rows = ring.map((k) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, k.kid)), el("td", {}, k.alg),
    el("td", {}, badge(kinds[k.state] || "", said(RING, k.state))), el("td", { class: "when" }, date(k.published)), el("td", { class: "when" }, date(k.signs_from)),
    el("td", { class: "when" }, date(k.signs_until)), el("td", { class: "when" }, date(k.leaves))));
  const store = [el("p", { class: "soft" }, "Kept in ", el("code", {}, s.store.store), s.store.next_change === null ? "" : ", next change " + ago(s.now, s.store.next_change),
    s.store.rotation_asked ? ", a rotation was asked for" : "")];
  if (s.store.error) store.push(el("p", { class: "notice warn" }, el("b", {}, "The key store fails since " + date(s.store.error.at) + ": "), s.store.error.text, " ", el("span", { class: "soft" }, "(", el("code", {}, s.store.error.code), ")")));
  if (s.store.full) store.push(el("p", { class: "notice warn" }, el("b", {}, "The ring is full: "), ring.length + " keys wait for the last token they signed to expire. Rotation waits until one leaves."));
  if (s.key_sets_in_memory) store.push(el("p", { class: "soft" }, "The issuers' last good key sets are kept only in memory: a restart while an issuer is down has none."));
  return [...store, legend, pic, table("The ring of signing keys", ["kid", "alg", "State", "Published", "Signs from", "Signs until", "Leaves the set"], rows)];
}
