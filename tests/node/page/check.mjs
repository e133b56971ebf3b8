// node check.mjs BASE_URL OUT_DIR [shots]: reads the status page as people do, and tries to break out of it.
// With `shots` it takes the pictures and looks for overflow and faults of accessibility, no more.
// Prints one JSON object of what was found; any failed assertion ends it with a stack.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { withBrowser, watch } from './browser.mjs';

const [base, out, shots] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const report = {};

async function open(context, seen) {
  const page = context.pages()[0] ?? (await context.newPage());
  if (seen) Object.assign(seen, watch(page));
  await page.goto(base + '/');
  await page.waitForFunction(() => document.getElementById('ready').textContent !== 'loading');
  await page.waitForFunction(() => document.querySelectorAll('#issuers > *').length > 0);
  return page;
}

// 1. As served, policy and all: it draws, it asks nobody else, it runs nothing it was not built with.
if (!shots) await withBrowser({ viewport: { width: 1180, height: 900 }, colorScheme: 'light' }, async (context) => {
  const seen = {};
  const page = await open(context, seen);
  report.title = await page.title();
  report.ready = await page.textContent('#ready');
  report.text = await page.innerText('main');
  report.tables = await page.$$eval('caption', (all) => all.map((c) => c.textContent));
  report.elements_from_data = await page.$$eval('main img, main iframe, main script, main b[onclick], main a', (all) => all.length);
  report.owned = await page.evaluate(() => globalThis.owned ?? null);
  report.foreign = seen.requests.filter((url) => !url.startsWith(base) && !url.startsWith('data:'));

  // A second poll moves the plots on and keeps the reader's place.
  await page.waitForFunction(() => document.querySelectorAll('#plots path').length > 0, undefined, { timeout: 15000 });

  // The policy itself: markup that slipped in could run nothing.
  report.blocked = await page.evaluate(async () => {
    const violations = [];
    document.addEventListener('securitypolicyviolation', (event) => violations.push(event.effectiveDirective));
    const script = document.createElement('script');
    try { script.textContent = 'globalThis.injected = 1'; document.body.append(script); } catch { violations.push('trusted-types'); }
    const image = new Image(); image.src = 'http://127.0.0.1:1/x.png'; document.body.append(image);
    try { document.body.insertAdjacentHTML('beforeend', '<p>x'); violations.push('HOLE'); } catch { violations.push('trusted-types'); }
    try { await fetch('http://127.0.0.1:1/'); violations.push('HOLE'); } catch { /* refused */ }
    await new Promise((resolve) => setTimeout(resolve, 200));
    return { injected: globalThis.injected ?? null, violations };
  });
  report.complaints_before_attack = seen.complaints.filter((text) => !/Content Security Policy|TrustedHTML|TrustedScript|requires 'Trusted|127\.0\.0\.1:1/.test(text));

  // Keyboard alone: the skip link comes first, and every control is reached in order.
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll('#issuers article').length > 0);
  const stops = [];
  for (let n = 0; n < 60; n++) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate(() => { const a = document.activeElement; return a === document.body ? null : (a.id || a.className || a.getAttribute('aria-label') || a.textContent).slice(0, 40); });
    if (stop === null) break;
    stops.push(stop);
    if (n === 0) assert.equal(stop, 'skip');
  }
  report.stops = stops;

  // A pasted token.
  await page.fill('#token', process.env.TOKEN ?? 'not a token');
  await page.focus('#inspect button[type=submit]');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.getElementById('decoded').textContent !== '');
  report.decoded = await page.innerText('#decoded');
  report.verdict = await page.innerText('#decoded > :nth-child(2)');
  await (await page.$('section:has(#inspect)')).screenshot({ path: join(out, 'inspect.png') });
  await page.click('#clear');
  report.after_clear = [await page.inputValue('#token'), await page.innerText('#decoded')];
  report.stored = await page.evaluate(async () => ({ cookies: document.cookie, hash: location.href }));

  // What is to be copied arrives where it is pasted.
  if (await page.$('#setup button.copy')) {
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.click('#setup button.copy');
    await page.waitForFunction(() => document.querySelector('#setup button.copy').textContent !== 'Copy');
    report.copied = { button: await page.textContent('#setup button.copy'), text: await page.evaluate(() => navigator.clipboard.readText()) };
  }

  // Updates can be stopped (WCAG 2.2.2).
  await page.click('#pause');
  report.paused = await page.getAttribute('#pause', 'aria-pressed');
});

// 2. Light and dark, wide and narrow: nothing overflows, and no rule of accessibility is broken. Only here
// the policy is lifted, for the checker's script.
report.accessibility = [];
report.overflow = {};
for (const colorScheme of ['light', 'dark']) {
  for (const [name, width] of [[colorScheme, 1180], [colorScheme + '-narrow', 390]]) {
    await withBrowser({ viewport: { width, height: 900 }, colorScheme, bypassCSP: true }, async (context) => {
      const page = await open(context);
      report.overflow[name] = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (name === 'light') report.seen = await page.innerText('main');
      // Tables wider than the page say that they scroll, and the columns of facts are two.
      if (name === 'light-narrow') {
        report.narrow = await page.evaluate(() => ({
          cut: [...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1 && !getComputedStyle(box.querySelector('caption span'), '::after').content.includes('scrolls')).length,
          columns: getComputedStyle(document.querySelector('#summary')).gridTemplateColumns.split(' ').length,
          smallest: Math.min(...[...document.querySelectorAll('#signing svg text')].map((text) => text.getBoundingClientRect().height)),
        }));
      }
      await page.screenshot({ path: join(out, name + '.png'), fullPage: true });
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
      for (const v of violations) report.accessibility.push(`${name}: ${v.id}: ${v.nodes.map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).slice(0, 3).join(' | ')}`);
    });
  }
}
console.log(JSON.stringify(report));
