"use strict";
// Any value may come from outside (kids, issuer names, error texts), so values are inserted as text only.
// The page's CSP forbids every other way too.
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
function el(name, attrs, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attrs || {})) {
    if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(3)) if (child !== null && child !== undefined) node.append(child);
  return node;
}
function svg(name, attrs, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attrs || {})) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
const badge = (kind, text) => el("span", { class: "badge " + kind }, text);
const words = (code) => String(code).replaceAll("_", " ");
const count = (n) => Number(n || 0).toLocaleString("en");
function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return s + " s";
  if (s < 7200) return Math.round(s / 60) + " min";
  if (s < 172800) return Math.round(s / 3600) + " h";
  return Math.round(s / 86400) + " days";
}
const ago = (now, then) => then === null || then === undefined ? "never" : then > now ? "in " + span(then - now) : span(now - then) + " ago";
const date = (secs) => secs === null || secs === undefined ? "–" : new Date(secs * 1000).toISOString().replace("T", " ").slice(0, 16) + " UTC";
const ms = (seconds) => seconds === null ? "–" : seconds < 0.001 ? Math.round(seconds * 1e6) + " µs" : (seconds * 1000).toFixed(seconds < 0.01 ? 2 : 0) + " ms";
const fact = (name, ...value) => el("div", {}, el("dt", {}, name), el("dd", {}, ...value));
/** `caption` is text, or elements; with elements, `name` is the same as text. */
function table(caption, heads, rows, name = caption, kind = "") {
  const head = heads.map((h) => el("th", { scope: "col", class: h.startsWith("#") ? "num" : undefined }, h.replace(/^#/, "")));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name },
    el("table", { class: kind || false }, el("caption", {}, el("span", {}, caption)), el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}
/** Marks the tables that are wider than their box. */
function mark() {
  for (const box of document.querySelectorAll(".scroll")) box.classList.toggle("more", box.scrollWidth > box.clientWidth + 1);
}
