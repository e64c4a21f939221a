// The data of the page, in one place: requests to the API, its answers by address, and the news that
// make them be read again.

import { useEffect, useReducer } from './vendor/htm-preact-3.1.1/standalone.module.js';
import { base, end, session, signal, signature } from './session.js';

/** Since when the API does not answer, in milliseconds; `null` while it does. */
export const away = signal(null);

let skew = 0;

export const now = () => Date.now() + skew;

/** An answer that is not a success. `code` is the API's, or `away` or `unknown`. */
export class ApiError extends Error {
  constructor(status, code, detail) {
    super(detail);
    Object.assign(this, { status, code });
  }
}

/** Refuses addresses that are not of our API, wherever they come from. */
function ours(address) {
  const url = new URL(address, document.baseURI);
  if (url.origin !== location.origin || !url.pathname.startsWith(`${base}/api/`)) {
    throw new ApiError(0, 'unknown', 'not an address of the API');
  }
  return url.href;
}

async function failure(answer) {
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
  }
  return new ApiError(answer.status, problem.code ?? 'unknown', problem.detail ?? `HTTP ${answer.status}`);
}

/** Sends a request; answers 304 are returned, other failures thrown. */
export async function send(address, { method = 'GET', body, headers = {}, signal: abort } = {}) {
  const write = method === 'GET' ? {} : { 'X-Requested-With': 'dashboard' };
  const json = body === undefined ? {} : { 'Content-Type': 'application/json' };
  let answer;
  try {
    answer = await fetch(ours(address), {
      method,
      body,
      signal: abort,
      cache: 'no-store',
      credentials: 'same-origin',
      redirect: 'error',
      headers: { ...signature(), ...write, ...json, ...headers },
    });
  } catch (error) {
    if (error instanceof ApiError || error.name === 'AbortError') throw error;
    away.set(away.get() ?? Date.now());
    throw new ApiError(0, 'away', 'the server does not answer');
  }
  if ([502, 503, 504].includes(answer.status)) {
    const why = await failure(answer);
    if (why.code !== 'too_many_streams') away.set(away.get() ?? Date.now());
    throw why;
  }
  away.set(null);
  const date = Date.parse(answer.headers.get('Date'));
  // The header is cut to seconds, so smaller differences mean nothing.
  if (date) skew = Math.abs(date - Date.now()) > 2000 ? date - Date.now() : 0;
  if (answer.status === 401) end('refused');
  if (!answer.ok && answer.status !== 304) throw await failure(answer);
  return answer;
}

export async function get(address) {
  return (await send(address)).json();
}

/** Adds parameters to an address; empty ones are left out, and a list is repeated. */
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of [value].flat()) {
      if (one !== undefined && one !== null && one !== '') query.append(name, one);
    }
  }
  const text = query.toString();
  return text ? path + (path.includes('?') ? '&' : '?') + text : path;
}

const KEPT = 40;

const entries = new Map();

export const updatedAt = signal(null);

function entryOf(address) {
  let entry = entries.get(address);
  if (!entry) {
    entry = { address, data: null, error: null, loading: false, at: null, tag: null, listeners: new Set() };
    entries.set(address, entry);
  }
  return entry;
}

function announce(entry) {
  for (const listener of [...entry.listeners]) listener();
}

async function read(entry) {
  if (entry.loading) return;
  entry.loading = true;
  try {
    const headers = entry.tag ? { 'If-None-Match': entry.tag } : {};
    const answer = await send(entry.address, { headers });
    if (answer.status !== 304) {
      const again = entry.data !== null;
      entry.data = await answer.json();
      entry.tag = answer.headers.get('ETag');
      if (again) updatedAt.set(Date.now());
    }
    entry.error = null;
    entry.at = Date.now();
  } catch (error) {
    entry.error = error;
  }
  entry.loading = false;
  announce(entry);
}

function drop() {
  const unseen = [...entries.values()].filter((entry) => !entry.listeners.size);
  for (const entry of unseen.slice(0, -KEPT)) entries.delete(entry.address);
}

export function refresh() {
  for (const entry of entries.values()) if (entry.listeners.size) read(entry);
}

// Another person sees nothing of what was read before.
let person = null;
session.subscribe(() => {
  const { state, role, vendors } = session.get();
  const next = JSON.stringify([role, vendors]);
  if (state !== 'in') return;
  if (person !== null && person !== next) entries.clear();
  person = next;
  refresh();
});

/** The answer at an address: `data` (null until there is one), `error`, `loading`, and its time `at`. */
export function useResource(address) {
  const [, draw] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    if (!address) return undefined;
    const entry = entryOf(address);
    entry.listeners.add(draw);
    read(entry);
    return () => {
      entry.listeners.delete(draw);
      drop();
    };
  }, [address]);
  const entry = address && entries.get(address);
  return entry ?? { data: null, error: null, loading: Boolean(address), at: null };
}

/** When the oldest of the answers on the page was read, in milliseconds. */
export function oldestShown() {
  const times = [...entries.values()].filter((entry) => entry.listeners.size && entry.at);
  return times.length ? Math.min(...times.map((entry) => entry.at)) : null;
}

// All times are in milliseconds.
const SLOWEST = 2000;
const POLL = 3000;
const RETRY = 20_000;
const CHECK = 10_000;
/** A stream without a sign for so long is broken. */
const SILENCE = 45_000;

/** How fresh the numbers are: the answer of `/api/freshness`; null until it is known. */
export const freshness = signal(null);
/** `stream`, `polling` or `paused`. */
export const mode = signal('polling');

let last = null;
let due = null;
let lastRefresh = 0;
let missed = false;
let running = null;

function refreshSoon() {
  if (mode.get() === 'paused' || document.hidden) {
    missed = true;
    return;
  }
  if (due) return;
  due = setTimeout(() => {
    due = null;
    lastRefresh = Date.now();
    missed = false;
    refresh();
  }, Math.max(0, lastRefresh + SLOWEST - Date.now()));
}

async function askFreshness() {
  try {
    const answer = await get('api/freshness');
    freshness.set(answer);
    return answer;
  } catch {
    return null;
  }
}

function heard({ asOf }) {
  if (asOf !== undefined && asOf !== last) refreshSoon();
  last = asOf ?? last;
  askFreshness();
}

/** Calls `event` for each event of a stream, whose fields are separated by line breaks. */
function parser(event) {
  let rest = '';
  return (text) => {
    const blocks = (rest + text).replace(/\r\n?/g, '\n').split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = block.split('\n').map((line) => /^(\w+): ?(.*)$/.exec(line)).filter(Boolean);
      const of = (name) => fields.filter((field) => field[1] === name).map((field) => field[2]).join('\n');
      if (of('data')) event({ id: of('id'), name: of('event'), data: of('data') });
    }
  };
}

async function stream(abort) {
  const headers = { Accept: 'text/event-stream' };
  if (last !== null) headers['Last-Event-ID'] = String(last);
  const answer = await send('api/live', { headers, signal: abort.signal });
  if (!answer.headers.get('Content-Type')?.startsWith('text/event-stream')) return;
  mode.set('stream');
  const check = setInterval(askFreshness, CHECK);
  abort.signal.addEventListener('abort', () => clearInterval(check));
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  const parse = parser(({ data }) => {
    try {
      heard(JSON.parse(data));
    } catch {
    }
  });
  for (;;) {
    const silence = setTimeout(() => abort.abort(), SILENCE);
    const { done, value } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    parse(decoder.decode(value, { stream: true }));
  }
}

const wait = (time) => new Promise((done) => setTimeout(done, time));

async function poll(until, abort) {
  while (Date.now() < until && !abort.signal.aborted) {
    if (!document.hidden) {
      const answer = await askFreshness();
      if (answer || away.get() === null) refreshSoon();
    }
    await wait(POLL);
  }
}

async function run(abort) {
  while (!abort.signal.aborted) {
    const attempt = new AbortController();
    abort.signal.addEventListener('abort', () => attempt.abort());
    try {
      await stream(attempt);
    } catch {
      // There is no stream, or it broke: questions follow.
    }
    attempt.abort();
    if (abort.signal.aborted) return;
    mode.set('polling');
    await poll(Date.now() + RETRY, abort);
  }
}

function begin() {
  running?.abort();
  running = new AbortController();
  mode.set('polling');
  askFreshness();
  // A browser has six connections to a server, and a stream takes one: pages that nobody sees leave them
  // to the others.
  if (!document.hidden) run(running);
}

export function pause() {
  if (mode.get() === 'paused') {
    begin();
    refreshSoon();
  } else {
    running?.abort();
    mode.set('paused');
  }
}

export function listenToNews() {
  const follow = () => {
    const signedIn = session.get()?.state === 'in';
    if (signedIn && mode.get() !== 'paused') begin();
    if (!signedIn) running?.abort();
  };
  session.subscribe(follow);
  follow();
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) running?.abort();
    else follow();
    if (!document.hidden && missed) refreshSoon();
  });
}
