// The data of the page, in one place: answers of the API by address. What is shown is read again when
// something was counted, and the last answer stays while it cannot be read.

import { useEffect, useReducer } from './vendor/htm-preact-3.1.1/standalone.module.js';
import { send } from './api.js';
import { session } from './session.js';
import { signal } from './signal.js';

/** How many answers nobody looks at are kept, for going back. */
const KEPT = 40;

const entries = new Map();

/** When numbers last changed on the page, in milliseconds. */
export const updatedAt = signal(null);

function entryOf(address) {
  let entry = entries.get(address);
  if (!entry) {
    entry = { address, data: null, error: null, loading: false, at: null, tag: null, listeners: new Set() };
    entries.set(address, entry);
  }
  return entry;
}

function tell(entry) {
  for (const listener of [...entry.listeners]) listener();
}

async function load(entry) {
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
  tell(entry);
}

function drop() {
  const unseen = [...entries.values()].filter((entry) => !entry.listeners.size);
  for (const entry of unseen.slice(0, -KEPT)) entries.delete(entry.address);
}

/** Reads everything that is shown again. */
export function refresh() {
  for (const entry of entries.values()) if (entry.listeners.size) load(entry);
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

/**
 * The answer at an address: `data` (null until there is one), `error`, `loading`, and `at`, the time
 * of the answer. Without an address there is nothing.
 */
export function useResource(address) {
  const [, draw] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    if (!address) return undefined;
    const entry = entryOf(address);
    entry.listeners.add(draw);
    load(entry);
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
