// Signing in with a token.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { config, embedded, session, signIn } from '../session.js';
import { t } from '../text.js';
import '../parts/more-style.js';

/** The form for a token, and why there is none. */
export default function SignIn() {
  const [wrong, setWrong] = useState(false);
  const { state } = session.use();
  if (embedded) return html`<p class="empty">${t(state === 'out' ? 'embedNote' : state)}</p>`;
  const submit = (event) => {
    event.preventDefault();
    setWrong(!signIn(new FormData(event.target).get('token') ?? ''));
  };
  const why = ['ended', 'refused'].includes(state) && html`<p role="alert" class="bad">${t(state)}</p>`;
  const gateway = config.auth === 'gateway';
  return html`<section class="sign-in card"><h1 tabindex="-1">${t('signIn')}</h1>${why}
    <p class="muted">${t(gateway ? 'gatewayNote' : 'signInNote')}</p>
    ${!gateway && html`<form onSubmit=${submit} autocomplete="off"><label class="choice"><span>${t('token')}</span>
      <textarea name="token" rows="4" required spellcheck="false" autocapitalize="off" aria-invalid=${String(wrong)}
        aria-describedby="token-wrong"></textarea></label>
      <p id="token-wrong" role="alert" class="bad">${wrong && t('badToken')}</p>
      <button type="submit">${t('signIn')}</button></form>`}</section>`;
}
