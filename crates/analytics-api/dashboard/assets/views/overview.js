// The marketplace at a glance, for admins and support.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { withQuery } from '../api.js';
import { count, moment } from '../format.js';
import { useResource } from '../resources.js';
import { kept, Link, navigate, route, sellerPath } from '../router.js';
import { session } from '../session.js';
import { t } from '../text.js';
import { Card, Empty, Of } from '../parts/basics.js';
import { Course } from '../parts/course.js';
import { TopicTable } from '../parts/freshness.js';
import { Kpi, KpisLoading } from '../parts/kpi.js';
import { ByCurrency, EventsByType } from '../parts/panels.js';
import { Ranking } from '../parts/ranking.js';
import { asked, Toolbar } from '../parts/toolbar.js';
import { Drift } from '../parts/proof.js';

const NAMES = ['revenue', 'orders', 'units', 'averageOrder', 'views', 'conversion', 'signups', 'unattributedRevenue'];
const IN_CHART = NAMES;

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

function Numbers({ panel, subject, metric }) {
  if (panel.asOf === 0) return html`<${Empty} title=${t('nothingYet')}>${t('nothingYetMore')}<//>`;
  return html`<ul class="kpis">${NAMES.filter((name) => panel.metrics[name]).map((name) => html`<${Kpi} key=${name} name=${name}
    number=${panel.metrics[name]} panel=${panel} subject=${{ ...subject, currency: panel.currency }}
    chosen=${name === metric} selectable=${IN_CHART.includes(name)} extra=${name === 'revenue' && t('gross')} />`)}</ul>`;
}

export default function Overview() {
  const { query } = route.use();
  const isAdmin = session.use().role === 'admin';
  const { time, compare, currency } = asked(query);
  const resource = useResource(withQuery('api/overview', { ...time, compare, currency }));
  const panel = resource.data && { ...resource.data, compare };
  const metric = IN_CHART.includes(query.get('metric')) ? query.get('metric') : 'revenue';
  const subject = { kind: 'overall', currency };
  const range = panel?.from && { from: panel.from, to: panel.to };
  return html`
    <h1 tabindex="-1">${t('marketplace')}</h1>
    <${Toolbar} currencies=${panel && Object.keys(panel.revenueByCurrency)} panel=${panel} />
    ${panel ? html`<${Numbers} panel=${panel} subject=${subject} metric=${metric} />`
      : resource.error && resource.error.code !== 'away' ? html`<${Of} resource=${resource} />`
      : html`<${KpisLoading} count=${NAMES.length} />`}
    <${Course} name=${metric} subject=${subject} panel=${panel} />
    <div class="grid">
      <${Ranking} what="products" title=${t('topProducts')} />
      <${Ranking} what="sellers" title=${t('topSellers')} tools=${html`<${FindSeller} />`} />
      ${isAdmin && html`<${EventsByType} time=${time} range=${range} canOpen=${true} />`}
      <${Of} resource=${{ ...resource, data: panel, error: null }} kind="card">${() => html`<${ByCurrency} panel=${panel} subject=${subject} />`}<//>
      <${Card} title=${t('freshness')}><${TopicTable} /><//>
      ${isAdmin && html`<${Drift} />`}
      ${isAdmin && html`<${OpenLetters} />`}
      <${Card} title=${t('anomalies')}><${Empty}>${t('noAnomalies')}<//><//>
    </div>`;
}
