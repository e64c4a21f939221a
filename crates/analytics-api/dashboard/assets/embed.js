// An embedded page and the page around it. Messages go to and come from `EMBED_ORIGINS` only:
//
//   from us  {type: 'analytics-ready'}                       we need a token
//   to us    {type: 'analytics-token', token}                here is one
//   from us  {type: 'analytics-token-expiring', expiresAt}   we need another one before that time

import { config, ending, session, signIn } from './session.js';

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
  ending.subscribe(() => {
    const { expiresAt } = session.get();
    if (ending.get()) tell({ type: 'analytics-token-expiring', expiresAt: new Date(expiresAt).toISOString() });
  });
  tell({ type: 'analytics-ready' });
}
