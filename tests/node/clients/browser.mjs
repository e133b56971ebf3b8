// Chromium on the page of examples/browser. Options: `page`, `issuer`, `stranger` (the same page at an
// origin that may not read the exchange's answers), `shots` (a folder for pictures).
import { assert, client } from '../lib/client.mjs';
import { withBrowser } from '../page/browser.mjs';

client(async ({ page: home, issuer, stranger, shots }) => {
  const out = { complaints: [] };
  await withBrowser({}, async (browser) => {
    const page = await browser.newPage();
    page.on('pageerror', (error) => out.complaints.push(error.message));
    // The provider's own pages ask for fonts that are not on this machine.
    page.on('console', (line) => {
      if (line.type() === 'error' && page.url().startsWith(home)) out.complaints.push(line.text());
    });
    await page.goto(`${home}/?issuer=${encodeURIComponent(issuer)}&client=spa`);
    await page.click('#login');
    await page.fill('input[name=login]', 'ada');
    await page.fill('input[name=password]', 'any');
    await page.click('button[type=submit]');
    await page.click('button[type=submit]');
    await page.waitForURL((url) => url.href.startsWith(home));
    await page.waitForFunction(() => /Logged in|Failed/.test(document.querySelector('#state').textContent));
    out.state = await page.textContent('#state');
    if (shots) await page.screenshot({ path: `${shots}/logged-in.png` });
    assert(out.state === 'Logged in.', `a login, not "${out.state}" ${out.complaints}`);
    out.tokens = await page.$$eval('tr[data-token]', (rows) =>
      Object.fromEntries(rows.map((row) => [row.dataset.token, row.dataset.jwt])));

    // Another origin may send the same request, but the browser keeps the answer from it.
    const other = await browser.newPage();
    await other.goto(`${stranger}/?issuer=${encodeURIComponent(issuer)}&client=spa`);
    out.stranger = await other.evaluate(async (token) => {
      const { exchange } = await import('/app.js');
      return exchange(token).then(() => 'read', (error) => error.name);
    }, out.tokens['access token']);
  });
  return out;
});
