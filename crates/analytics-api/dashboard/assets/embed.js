// An embedded page and the page around it. Messages go to and come from `EMBED_ORIGINS` only:
//
//   from us  {type: 'analytics-ready'}                       we need a token
//   to us    {type: 'analytics-token', token}                here is one
//   from us  {type: 'analytics-token-expiring', expiresAt}   we need another one before that time

import { config, ending, session, signIn } from './session.js';

/** The least time between two requests for a new token, in milliseconds. */
const LEAST = 1000;

/** The origin of the page around this one, if it is known and may give tokens. */
function parentOrigins() {
  const known = location.ancestorOrigins?.[0] ?? (document.referrer && new URL(document.referrer).origin);
  return known ? config.embedOrigins.filter((origin) => origin === known) : config.embedOrigins;
}

/** Takes tokens from the page around this one, and tells it when it needs one. */
export default function listenToParent() {
  const tell = (message) => parentOrigins().forEach((origin) => parent.postMessage(message, origin));
  addEventListener('message', ({ source, origin, data }) => {
    if (source !== parent || !config.embedOrigins.includes(origin)) return;
    if (data?.type === 'analytics-token' && typeof data.token === 'string') signIn(data.token);
  });
  let asked = 0;
  const ask = () => {
    const { state, expiresAt } = session.get();
    if (!ending.get() && !['ended', 'refused'].includes(state)) return;
    // A portal that repeats a token that is over is not asked all the time.
    if (Date.now() - asked < LEAST) return;
    asked = Date.now();
    tell({ type: 'analytics-token-expiring', expiresAt: expiresAt && new Date(expiresAt).toISOString() });
  };
  ending.subscribe(ask);
  session.subscribe(ask);
  tell({ type: 'analytics-ready' });
}
