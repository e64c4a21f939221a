// What every page is made of: its address, links, cards, states, dialogs.

import { html, useEffect, useRef, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { away, refresh } from '../data.js';
import { base, signal } from '../session.js';
import { t } from '../text.js';

const PAGES = [
  [/^\/$/, 'home'],
  [/^\/sellers\/([^/]+)$/, 'seller'],
  [/^\/sellers\/([^/]+)\/reconcile$/, 'reconcile'],
  [/^\/sellers\/([^/]+)\/statements$/, 'statements'],
  [/^\/sellers\/([^/]+)\/statements\/(\d{4}-\d\d)$/, 'statement'],
  [/^\/months$/, 'months'],
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

function located() {
  const path = location.pathname.slice(base.length) || '/';
  const query = new URLSearchParams(location.search);
  for (const [pattern, page] of PAGES) {
    const match = pattern.exec(path);
    if (match) return { page, path, query, id: match[1] && decoded(match[1]), month: match[2] };
  }
  return { page: 'nowhere', path, query };
}

/** The present page: `page`, `path`, `query` and, where the path names them, an `id` and a `month`. */
export const route = signal(located());
addEventListener('popstate', () => route.set(located()));

function go(address, replace) {
  history[replace ? 'replaceState' : 'pushState'](null, '', address);
  route.set(located());
}

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

export function navigate(path, parameters) {
  go(address(path, parameters));
}

export function kept(query) {
  const names = ['period', 'from', 'to', 'compare', 'currency', 'theme', 'lang', 'width'];
  return Object.fromEntries(names.map((name) => [name, query.get(name) ?? undefined]));
}

export const sellerPath = (vendor) => `/sellers/${encodeURIComponent(vendor)}`;

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

let ids = 0;

export function useId() {
  const ref = useRef();
  ref.current ??= `id-${++ids}`;
  return ref.current;
}

export function Card({ title, tools, children, kind = '' }) {
  const id = useId();
  return html`<section class="card ${kind}" aria-labelledby=${id}>
    <header class="card-head"><h2 id=${id}>${title}</h2><div class="tools">${tools}</div></header>
    ${children}
  </section>`;
}

export const Hidden = ({ children }) => html`<span class="visually-hidden">${children}</span>`;

export function Loading({ lines = 3, kind = '' }) {
  const bars = Array.from({ length: lines }, (_, index) => html`<span class="bar" key=${index}></span>`);
  return html`<div class="loading ${kind}" role="status"><${Hidden}>${t('loading')}<//>${bars}</div>`;
}

export const Empty = ({ title, children }) =>
  html`<div class="empty">${title && html`<strong>${title}</strong>`}<span>${children ?? t('empty')}</span></div>`;

export function Failure({ error }) {
  if (error.status === 403) return html`<${Empty}>${t('mayNot')}<//>`;
  if (error.code === 'seller_not_found') return html`<${Empty}>${t('notFound')}<//>`;
  return html`<div class="empty failure" role="alert">
    <strong>${t('failed')}</strong><span>${error.message}</span>
    <button class="quiet" type="button" onClick=${refresh}>${t('retry')}</button>
  </div>`;
}

/** The contents of a resource: while it is read, when it failed, and otherwise what `children` draws. */
export function Of({ resource, lines, kind, children }) {
  const { data, error } = resource;
  if (data !== null) return children(data);
  // The banner says that the server is away; what is missing is still to come.
  if (error && !(error.code === 'away' && away.get())) return html`<${Failure} error=${error} />`;
  return html`<${Loading} lines=${lines} kind=${kind} />`;
}

export const CsvButton = ({ address, name, what }) =>
  html`<button class="quiet" type="button" aria-label=${t('saveCsv', { what })}
    onClick=${() => import('../files.js').then(({ saveCsv }) => saveCsv(address, name)).catch(() => {})}>${t('csv')}</button>`;

export function Choice({ label, value, options, onChange, kind = '' }) {
  return html`<label class="choice ${kind}"><span>${label}</span>
    <select value=${value} onChange=${(event) => onChange(event.target.value)}>
      ${options.map(([name, text]) => html`<option key=${name} value=${name} selected=${name === value}>${text}</option>`)}
    </select></label>`;
}

/** Loads a part of the program when it is first needed, and shows it with these properties. */
export function Lazy({ from, props = {}, quiet = false }) {
  const [part, setPart] = useState(null);
  useEffect(() => {
    let current = true;
    from().then((module) => current && setPart(() => module.default), (error) => current && setPart(() => () => html`<${Empty} title=${t('failed')}>${error.message}<//>`));
    return () => {
      current = false;
    };
  }, [from]);
  return part ? html`<${part} ...${props} />` : quiet ? null : html`<${Loading} lines=${8} kind="page" />`;
}

/** Loads and shows a part once it comes near to what is seen; until then it takes up this place. */
export function Below({ from, props }) {
  const place = useRef();
  const [near, setNear] = useState(false);
  useEffect(() => {
    const observer = new IntersectionObserver(([seen]) => seen.isIntersecting && setNear(true), { rootMargin: '64px' });
    observer.observe(place.current);
    const print = () => setNear(true);
    addEventListener('beforeprint', print);
    return () => {
      observer.disconnect();
      removeEventListener('beforeprint', print);
    };
  }, []);
  return near ? html`<${Lazy} from=${from} props=${props} />` : html`<div ref=${place} class="below"></div>`;
}
