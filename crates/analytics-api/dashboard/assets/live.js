// News: a stream of server-sent events, and where there is none, questions every few seconds.

import { away, get, send } from './api.js';
import { refresh } from './resources.js';
import { session } from './session.js';
import { signal } from './signal.js';

/** The least time between two readings of the page, in milliseconds. */
const SLOWEST = 2000;
/** The time between two questions without a stream. */
const POLL = 3000;
/** The time after which a stream that broke is tried again. */
const RETRY = 20_000;
/** The time between two questions about freshness beside a stream. */
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
      // An event of a later version.
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
  run(running);
}

/** Stops news, or lets them in again. */
export function pause() {
  if (mode.get() === 'paused') {
    begin();
    refreshSoon();
  } else {
    running?.abort();
    mode.set('paused');
  }
}

/** Begins as soon as somebody is signed in. */
export function start() {
  const follow = () => {
    const signedIn = session.get()?.state === 'in';
    if (signedIn && mode.get() !== 'paused') begin();
    if (!signedIn) running?.abort();
  };
  session.subscribe(follow);
  follow();
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && missed) refreshSoon();
  });
}
