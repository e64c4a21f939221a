// Other dates than those of a period.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { date } from '../metrics.js';
import { t } from '../text.js';
import { choose, route } from './basics.js';
import './more-style.js';

export default function Dates({ onDone }) {
  const { query } = route.use();
  const [from, setFrom] = useState(query.get('from')?.slice(0, 10) ?? date(Date.now() - 6 * 86_400_000));
  const [to, setTo] = useState(query.get('to')?.slice(0, 10) ?? date(Date.now()));
  const submit = (event) => {
    event.preventDefault();
    if (from && to && from <= to) {
      choose({ period: undefined, from, to, interval: undefined });
      onDone();
    }
  };
  return html`<form class="dates" onSubmit=${submit}>
    <label class="choice"><span>${t('from')}</span><input type="date" required value=${from} max=${to}
      onInput=${(event) => setFrom(event.target.value)} /></label>
    <label class="choice"><span>${t('to')}</span><input type="date" required value=${to} min=${from}
      onInput=${(event) => setTo(event.target.value)} /></label>
    <button type="submit">${t('apply')}</button>
  </form>`;
}
