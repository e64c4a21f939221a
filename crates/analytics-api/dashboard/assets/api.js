// Requests to the API. Each is signed, goes to this origin only, and fails with an `ApiError`.

import { base } from './config.js';
import { end, signature } from './session.js';
import { signal } from './signal.js';

/** Since when the API does not answer, in milliseconds; `null` while it does. */
export const away = signal(null);

/** How far the clock of the server is ahead of ours, in milliseconds. */
let skew = 0;

/** The present time by the clock of the server, in milliseconds. */
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
    // A proxy answers without problem details.
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
    away.set(away.get() ?? Date.now());
    throw await failure(answer);
  }
  away.set(null);
  const date = Date.parse(answer.headers.get('Date'));
  // The header is cut to seconds, so smaller differences mean nothing.
  if (date) skew = Math.abs(date - Date.now()) > 2000 ? date - Date.now() : 0;
  if (answer.status === 401) end('refused');
  if (!answer.ok && answer.status !== 304) throw await failure(answer);
  return answer;
}

/** Gets JSON. */
export async function get(address) {
  return (await send(address)).json();
}

/** Sends a write with a body, or without one. */
export async function write(method, address, body) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return (await send(address, { method, body: text })).json();
}

/** Saves a file that the page made. */
export function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Saves the rows of a list as CSV: the same route, with the same parameters. */
export async function saveCsv(address, name) {
  const answer = await send(address, { headers: { Accept: 'text/csv' } });
  save(await answer.blob(), `${name}.csv`);
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
