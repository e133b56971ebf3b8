// ---- plots: drawn from the last polls, which only this page remembers; the server keeps no history
const KEEP = 90;
const samples = [];
function quantile(buckets, q) {
  const total = buckets.reduce((sum, b) => sum + b.count, 0);
  if (!total) return null;
  let seen = 0, lower = 0;
  for (const b of buckets) {
    if (seen + b.count >= q * total) return b.le === null ? lower : lower + (b.le - lower) * (b.count ? (q * total - seen) / b.count : 0);
    seen += b.count;
    if (b.le !== null) lower = b.le;
  }
  return lower;
}
function remember(s) {
  const t = s.tokens, last = samples[samples.length - 1];
  const restarted = last && last.started !== s.started;
  if (restarted) samples.length = 0;
  const prior = restarted ? undefined : last;
  const delta = t.latency.buckets.map((b, n) => ({ le: b.le, count: b.count - (prior ? prior.buckets[n].count : 0) }));
  const hits = t.cache.hits - (prior ? prior.hits : 0), misses = t.cache.misses - (prior ? prior.misses : 0);
  const done = t.countersigned + t.passed + t.refused;
  samples.push({ started: s.started, now: s.at, buckets: t.latency.buckets, hits: t.cache.hits, misses: t.cache.misses, done,
    p50: quantile(delta, 0.5), p99: quantile(delta, 0.99), rate: hits + misses > 0 ? hits / (hits + misses) : null,
    perSecond: prior && s.at > prior.now ? (done - prior.done) / (s.at - prior.now) : null });
  if (samples.length > KEEP) samples.shift();
}
function plot(title, curves, format, top) {
  const W = 300, H = 84, values = curves.flatMap((c) => samples.map(c.of)).filter((v) => v !== null);
  const max = top || Math.max(...values, 1e-9) * 1.1;
  const latest = curves.map((c) => { const known = samples.map(c.of).filter((v) => v !== null); return c.name + " " + (known.length ? format(known[known.length - 1]) : "–"); });
  const pic = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title + ": " + latest.join(", ") });
  for (const part of [0, 0.5, 1]) pic.append(svg("line", { class: "grid", x1: 0, x2: W, y1: 4 + part * (H - 20), y2: 4 + part * (H - 20) }));
  curves.forEach((c, n) => {
    let path = "", pen = false;
    samples.forEach((sample, k) => {
      const v = c.of(sample);
      if (v === null) { pen = false; return; }
      path += (pen ? "L" : "M") + (k / (KEEP - 1) * W).toFixed(1) + " " + (4 + (1 - Math.min(v / max, 1)) * (H - 20)).toFixed(1);
      if (!pen) path += "l0.01 0";
      pen = true;
    });
    if (path) pic.append(svg("path", { class: "curve" + (n ? " second" : ""), d: path, "stroke-linecap": "round" }));
  });
  pic.append(svg("text", { x: 0, y: H - 2 }, values.length ? "top line: " + format(max) : "nothing happened since this page was opened"));
  return el("figure", {}, el("figcaption", {}, title + " ", el("b", {}, latest.join(" · "))), pic);
}
const plots = () => [
  plot("Time per token", [{ name: "median", of: (x) => x.p50 }, { name: "p99", of: (x) => x.p99 }], ms),
  plot("Cache hit rate", [{ name: "hits", of: (x) => x.rate }], (v) => Math.round(v * 100) + " %", 1),
  plot("Tokens a second", [{ name: "now", of: (x) => x.perSecond }], (v) => v.toFixed(v < 10 ? 1 : 0)),
];

