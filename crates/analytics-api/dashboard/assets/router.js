// Which page is shown, from the address. Everything that somebody chooses is in the query; the token
// never is.

import { html } from './vendor/htm-preact-3.1.1/standalone.module.js';
import { base } from './config.js';
import { signal } from './signal.js';

const PAGES = [
  [/^\/$/, 'home'],
  [/^\/sellers\/([^/]+)$/, 'seller'],
  [/^\/events$/, 'events'],
  [/^\/dead-letters$/, 'deadLetters'],
  [/^\/proofs$/, 'proofs'],
  [/^\/embed\/seller$/, 'embedSeller'],
  [/^\/embed\/widget\/([^/]+)$/, 'embedWidget'],
];

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function read() {
  const path = location.pathname.slice(base.length) || '/';
  const query = new URLSearchParams(location.search);
  for (const [pattern, page] of PAGES) {
    const match = pattern.exec(path);
    if (match) return { page, path, query, id: match[1] && decoded(match[1]) };
  }
  return { page: 'nowhere', path, query };
}

/** The present page: `page`, `path`, `query` and, where the path names something, its `id`. */
export const route = signal(read());
addEventListener('popstate', () => route.set(read()));

function go(address, replace) {
  history[replace ? 'replaceState' : 'pushState'](null, '', address);
  route.set(read());
}

/** The address of a page with these parameters; empty ones are left out. */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== '') query.set(name, value);
  }
  const text = query.toString();
  return base + path + (text && `?${text}`);
}

/** Changes parameters of the present page and keeps the others; `undefined` takes one out. */
export function choose(changes, { replace = false } = {}) {
  const { path, query } = route.get();
  go(address(path, { ...Object.fromEntries(query), ...changes }), replace);
}

/** Goes to another page. */
export function navigate(path, parameters) {
  go(address(path, parameters));
}

/** What of the query is kept on the way to another panel. */
export function kept(query) {
  const names = ['period', 'from', 'to', 'compare', 'currency', 'theme', 'lang', 'width'];
  return Object.fromEntries(names.map((name) => [name, query.get(name) ?? undefined]));
}

/** The path of a seller's panel. */
export const sellerPath = (vendor) => `/sellers/${encodeURIComponent(vendor)}`;

/** A link to another page of the dashboard. */
export function Link({ to, query, children, ...rest }) {
  const href = address(to, query);
  const follow = (event) => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(href);
    scrollTo(0, 0);
  };
  return html`<a href=${href} onClick=${follow} ...${rest}>${children}</a>`;
}
