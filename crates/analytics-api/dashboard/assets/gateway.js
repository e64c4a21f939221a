// Signing in by a gateway, which passes the token itself.

import { base, begin, session } from './session.js';

/** Asks the API who a gateway says that we are. */
export default async function ask() {
  try {
    const answer = await fetch(`${base}/api/me`, { credentials: 'same-origin', cache: 'no-store' });
    if (!answer.ok) return session.set({ state: answer.status === 401 ? 'out' : 'refused' });
    const { role, vendorIds, subject, expiresAt } = await answer.json();
    begin({ role, vendors: vendorIds ?? [], subject, expiresAt: expiresAt ? Date.parse(expiresAt) : null });
  } catch {
    setTimeout(ask, 3000);
  }
}
