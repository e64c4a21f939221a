// The marketplace below its numbers: rankings, events, freshness, proofs, dead letters.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource, withQuery } from '../data.js';
import { count, moment } from '../metrics.js';
import { session } from '../session.js';
import { t } from '../text.js';
import { Card, kept, Link, navigate, Of, route, sellerPath } from '../parts/basics.js';
import { Anomalies } from '../parts/anomalies.js';
import { ByCurrency, EventsByType } from '../parts/panels.js';
import { Drift } from '../parts/proof.js';
import { Ranking } from '../parts/ranking.js';
import { TopicTable } from '../parts/topics.js';

/** Finds sellers by the beginning of their ids. */
function FindSeller() {
  const { query } = route.use();
  const [prefix, setPrefix] = useState('');
  const { data } = useResource(prefix && withQuery('api/sellers', { prefix, limit: 10 }));
  const submit = (event) => {
    event.preventDefault();
    if (prefix.trim()) navigate(sellerPath(prefix.trim()), kept(query));
  };
  return html`<form class="find" onSubmit=${submit} role="search"><label><span class="visually-hidden">${t('findSeller')}</span>
    <input list="sellers" placeholder=${t('findSeller')} value=${prefix} maxlength="64" autocomplete="off"
      onInput=${(event) => setPrefix(event.target.value)} /></label>
    <datalist id="sellers">${data?.items.map(({ vendorId, name }) => html`<option key=${vendorId} value=${vendorId}>${name}</option>`)}</datalist>
    <button type="submit" class="quiet">${t('open')}</button></form>`;
}

/** The dead letters that wait for somebody. */
function OpenLetters() {
  const resource = useResource('api/dead-letters?state=open&limit=100');
  return html`<${Card} title=${t('deadLetters')}><${Of} resource=${resource} lines=${2} kind="rows">${({ items, nextCursor }) => html`
    <p class="lead"><${Link} class="big" to="/dead-letters" query=${{ state: 'open' }}>${count(items.length)}${nextCursor && '+'}<//>
      <span class="muted">${t('openLetters')}</span></p>
    <p class="foot">${items[0] ? `${items[0].reason}: ${items[0].detail} · ${moment(items[0].createdAt)}` : t('noLetters')}</p>`}<//><//>`;
}

export default function OverviewBelow({ time, range, panel, subject }) {
  const isAdmin = session.use().role === 'admin';
  return html`
    <div class="grid">
      <${Anomalies} />
      <${Ranking} what="products" title=${t('topProducts')} />
      <${Ranking} what="sellers" title=${t('topSellers')} tools=${html`<${FindSeller} />`} />
      ${isAdmin && html`<${EventsByType} time=${time} range=${range} canOpen=${true} />`}
      <${Of} resource=${{ data: panel }} kind="card">${() => html`<${ByCurrency} panel=${panel} subject=${subject} />`}<//>
      <${Card} title=${t('freshness')}><${TopicTable} /><//>
      ${isAdmin && html`<${Drift} />`}
      ${isAdmin && html`<${OpenLetters} />`}
    </div>`;
}
