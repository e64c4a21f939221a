// Who is signed in, and what the server and the address say of the page. The token lives in memory and,
// except in embedded pages, in sessionStorage. It never gets into an address, a log or a message to
// anyone but the API.

import { useEffect, useReducer } from './vendor/htm-preact-3.1.1/standalone.module.js';

const meta = document.querySelector('meta[name="dashboard-config"]');

/** `auth`, `timezone`, `currency`, `weekStart`, `writable`, `embedOrigins` and `version`. */
export const config = JSON.parse(meta.content);

/** The path of the application without a slash at its end: empty, or such as `/analytics`. */
export const base = new URL(document.baseURI).pathname.replace(/\/$/, '');

const query = new URLSearchParams(location.search);

export const embedded = location.pathname.startsWith(`${base}/embed/`);

function validLanguage(name) {
  try {
    return name && Intl.getCanonicalLocales(name)[0];
  } catch {
    return undefined;
  }
}

/** The languages in which numbers and dates are written, the best one first. */
export const languages = [validLanguage(query.get('lang')), ...navigator.languages].filter(Boolean);

/** Applies the theme and the width that an embedding page asks for. */
export function applyAppearance() {
  const theme = query.get('theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  const width = Number(query.get('width'));
  if (embedded && width >= 120 && width <= 4000) document.documentElement.style.maxWidth = `${width}px`;
}

/** An observable value with `get`, `set`, `subscribe`, and the hook `use`. */
export function signal(initial) {
  let current = initial;
  const listeners = new Set();
  const subscribe = (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return {
    get: () => current,
    set(next) {
      if (Object.is(next, current)) return;
      current = next;
      for (const listener of [...listeners]) listener();
    },
    subscribe,
    use() {
      const [, draw] = useReducer((count) => count + 1, 0);
      useEffect(() => {
        const seen = current;
        const stop = subscribe(draw);
        if (!Object.is(seen, current)) draw();
        return stop;
      }, []);
      return current;
    },
  };
}

const KEY = 'analytics-token';
/** How long before its end the end of a session is announced, in milliseconds. */
const ANNOUNCED = 5 * 60_000;
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * `null` until it is known; then `{state, role, vendors, subject, expiresAt}`. The state is `in`,
 * `out`, `ended` (its time is over) or `refused` (the API does not accept it). Role and vendors are
 * for presentation: what may be read, the API decides.
 */
export const session = signal(null);
export const ending = signal(false);

let token = null;
let timers = [];

export function signature() {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

function stored() {
  if (embedded) return null;
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function store(value) {
  if (embedded) return;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Without storage the session lasts as long as the page.
  }
}

/** Takes the token out of the address bar, before anything else reads the address. */
function fromFragment() {
  const found = /(?:^#|&)token=([^&]+)/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, '', location.pathname + location.search);
  return decodeURIComponent(found[1]);
}

function claims(text) {
  try {
    const part = text.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    const bytes = Uint8Array.from(atob(part), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

const list = (value) => (value === undefined || value === null ? [] : [value].flat().map(String));

function described(payload) {
  const roles = [...list(payload.role), ...list(payload.roles)].map((role) => role.toLowerCase());
  const vendors = [...list(payload.vendorId), ...list(payload.vendorIds)].filter((id) => id.trim());
  const has = (...names) => names.some((name) => roles.includes(name));
  let role = 'buyer';
  if (has('admin', 'super_admin')) role = 'admin';
  else if (has('support')) role = 'support';
  else if (vendors.length && (!roles.length || has('seller', 'vendor', 'buyer_seller'))) role = 'seller';
  const subject = payload.userId ?? payload.sub ?? null;
  return { role, vendors: [...new Set(vendors)], subject, expiresAt: payload.exp ? payload.exp * 1000 : null };
}

export function begin(person) {
  timers.forEach(clearTimeout);
  timers = [];
  ending.set(false);
  const { expiresAt } = person;
  if (expiresAt) {
    const left = expiresAt - Date.now();
    if (left <= 0) return end('ended');
    // A short-lived token is announced when a fifth of its time is left.
    const announced = Math.max(left - Math.min(ANNOUNCED, left / 5), 0);
    const at = (delay, action) => delay < LONGEST_TIMER && timers.push(setTimeout(action, delay));
    at(announced, () => {
      ending.set(true);
    });
    at(left, () => end('ended'));
  }
  session.set({ state: 'in', ...person });
}

/** Ends the session. What is on the page stays there. */
export function end(state) {
  timers.forEach(clearTimeout);
  ending.set(false);
  token = null;
  store(null);
  session.set({ ...session.get(), state });
}

export function signIn(text) {
  const trimmed = text.trim().replace(/^Bearer\s+/i, '');
  const payload = claims(trimmed);
  if (!payload) return false;
  token = trimmed;
  store(token);
  begin(described(payload));
  return true;
}

/** Signs in with what the address or this tab has, or else as the page around this one or a gateway says. */
export function start({ listenToParent, askGateway }) {
  const given = fromFragment();
  if (embedded && parent !== window) listenToParent();
  addEventListener('hashchange', () => {
    const later = fromFragment();
    if (later) signIn(later);
  });
  if (given && signIn(given)) return;
  if (config.auth === 'gateway' && !embedded) {
    askGateway();
    return;
  }
  const earlier = stored();
  if (!earlier || !signIn(earlier)) session.set({ state: 'out' });
}
