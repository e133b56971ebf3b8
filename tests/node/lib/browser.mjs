// As much of a browser as a login needs: cookies, redirects one at a time, forms.

export class Browser {
  #cookies = new Map();

  /** One request with the cookies kept so far; redirects are not followed. */
  async fetch(url, init = {}) {
    const headers = new Headers(init.headers);
    if (this.#cookies.size > 0) {
      headers.set('cookie', [...this.#cookies].map(([k, v]) => `${k}=${v}`).join('; '));
    }
    const response = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(';');
      const [name, ...value] = pair.split('=');
      const gone = attributes.some((a) => /^\s*expires=.*1970/i.test(a)) || value.join('=') === '';
      if (gone) this.#cookies.delete(name.trim());
      else this.#cookies.set(name.trim(), value.join('='));
    }
    return response;
  }

  cookie(name) {
    return this.#cookies.get(name);
  }

  /**
   * Follows redirects and answers the provider's interaction pages until it is sent to `callback`.
   * Gives the address it was sent to, or the form a `form_post` page would send there.
   */
  async login(url, callback, login = 'ada') {
    let response = await this.fetch(url);
    for (let steps = 0; steps < 20; steps++) {
      const location = response.headers.get('location');
      if (location) {
        url = new URL(location, url);
        if (url.href.startsWith(callback)) return { url };
        await response.arrayBuffer();
        response = await this.fetch(url);
        continue;
      }
      const page = await response.text();
      const form = readForm(page);
      if (!form) throw new Error(`no form at ${url}: ${response.status} ${words(page)}`);
      if (form.action.startsWith(callback)) return { form: form.fields, action: form.action };
      url = new URL(form.action, url);
      if (form.fields.has('login')) form.fields.set('login', login);
      if (form.fields.has('password')) form.fields.set('password', 'any');
      response = await this.fetch(url, { method: 'POST', body: form.fields });
    }
    throw new Error('the login does not end');
  }

  /** Sends the first form of a page, as a click on its button would. */
  async submit(response, extra = {}) {
    const page = await response.text();
    const form = readForm(page);
    if (!form) throw new Error(`no form: ${response.status} ${words(page)}`);
    for (const [k, v] of Object.entries(extra)) form.fields.set(k, v);
    return this.fetch(new URL(form.action, response.url), { method: 'POST', body: form.fields });
  }
}

const words = (page) => page.replace(/<style[\s\S]*?<\/style>|<[^>]*>/g, ' ').replace(/\s+/g, ' ').slice(0, 400);

const unescape = (text) =>
  text.replace(/&(amp|lt|gt|quot|#39|#x27);/g, (_, name) => ({ amp: '&', lt: '<', gt: '>', quot: '"' })[name] ?? "'");

function readForm(page) {
  const form = /<form([^>]*)>([\s\S]*?)<\/form>/i.exec(page);
  if (!form) return undefined;
  const attribute = (tag, name) => {
    const found = new RegExp(`\\b${name}=(?:"([^"]*)"|'([^']*)'|([^\\s>]+))`, 'i').exec(tag);
    return found ? unescape(found[1] ?? found[2] ?? found[3]) : undefined;
  };
  const fields = new URLSearchParams();
  for (const [input] of form[2].matchAll(/<input[^>]*>/gi)) {
    const name = attribute(input, 'name');
    if (name) fields.append(name, attribute(input, 'value') ?? '');
  }
  return { action: attribute(form[1], 'action') ?? '', fields };
}
