// Who is signed in. The token lives in memory and, except in embedded pages, in sessionStorage. It
// never gets into an address, a log or a message to anyone but the API.

import { base, config, embedded } from './config.js';
import { signal } from './signal.js';

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
/** Whether the end of the session is near. */
export const ending = signal(false);

let token = null;
let timers = [];
let onEnding = () => {};

/** The headers that sign a request. */
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

function begin(person) {
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
      onEnding(expiresAt);
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

/** Signs in with a token; returns whether it has the form of one. */
export function signIn(text) {
  const trimmed = text.trim().replace(/^Bearer\s+/i, '');
  const payload = claims(trimmed);
  if (!payload) return false;
  token = trimmed;
  store(token);
  begin(described(payload));
  return true;
}

/** Asks the API who a gateway says that we are. */
async function fromGateway() {
  try {
    const answer = await fetch(`${base}/api/me`, { credentials: 'same-origin', cache: 'no-store' });
    if (!answer.ok) return session.set({ state: answer.status === 401 ? 'out' : 'refused' });
    const { role, vendorIds, subject, expiresAt } = await answer.json();
    begin({ role, vendors: vendorIds ?? [], subject, expiresAt: expiresAt ? Date.parse(expiresAt) : null });
  } catch {
    setTimeout(fromGateway, 3000);
  }
}

/** The origin of the page around this one, if it is known and may give tokens. */
function parentOrigins() {
  const known = location.ancestorOrigins?.[0] ?? (document.referrer && new URL(document.referrer).origin);
  return known ? config.embedOrigins.filter((origin) => origin === known) : config.embedOrigins;
}

/** Takes tokens from the page around this one, and tells it when it needs one. */
function listenToParent() {
  const tell = (message) => parentOrigins().forEach((origin) => parent.postMessage(message, origin));
  addEventListener('message', ({ source, origin, data }) => {
    if (source !== parent || !config.embedOrigins.includes(origin)) return;
    if (data?.type === 'analytics-token' && typeof data.token === 'string') signIn(data.token);
  });
  onEnding = (expiresAt) =>
    tell({ type: 'analytics-token-expiring', expiresAt: new Date(expiresAt).toISOString() });
  tell({ type: 'analytics-ready' });
}

/** Finds out who is signed in. */
export function start() {
  const given = fromFragment();
  if (embedded && parent !== window) listenToParent();
  addEventListener('hashchange', () => {
    const later = fromFragment();
    if (later) signIn(later);
  });
  if (given && signIn(given)) return;
  if (config.auth === 'gateway' && !embedded) {
    fromGateway();
    return;
  }
  const earlier = stored();
  if (!earlier || !signIn(earlier)) session.set({ state: 'out' });
}
