// The panel of a seller.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { withQuery } from '../api.js';
import { base } from '../config.js';
import { useResource } from '../resources.js';
import { kept, Link, navigate, route, sellerPath } from '../router.js';
import { session } from '../session.js';
import { t } from '../text.js';
import { Card, Choice, Empty, Failure, Of } from '../parts/basics.js';
import { Course } from '../parts/course.js';
import { Kpi, KpisLoading } from '../parts/kpi.js';
import { ByCurrency, OrderStats, Ratings, Today } from '../parts/panels.js';
import { Ranking } from '../parts/ranking.js';
import { asked, Toolbar } from '../parts/toolbar.js';

export const NAMES = ['revenue', 'orders', 'units', 'averageOrder', 'views', 'conversion', 'rating'];

/** The address of a seller's summary. */
export const summaryOf = (vendor, { time, compare, currency }) =>
  withQuery(`${base}/api/sellers/${encodeURIComponent(vendor)}/summary`, { ...time, compare, currency });

function Head({ vendor, panel, plain }) {
  const { query } = route.use();
  const { role, vendors = [] } = session.use();
  const isStaff = role === 'admin' || role === 'support';
  const others = vendors.length > 1 && html`<${Choice} label=${t('switchShop')} value=${vendor}
    options=${vendors.map((id) => [id, id])} onChange=${(id) => navigate(sellerPath(id), kept(query))} />`;
  return html`<div class="head">
    <h1 tabindex="-1">${panel?.name ?? vendor}${panel?.name && html` <small>${vendor}</small>`}</h1>
    ${isStaff && !plain && html`<${Link} to="/" query=${kept(query)}>${t('allSellers')}<//>`}${others}</div>`;
}

/** The panel of one seller. `plain` has no way out: it stands in another page. */
export default function Seller({ vendor, plain = false }) {
  const { query } = route.use();
  const question = asked(query);
  const { time, compare, currency } = question;
  const resource = useResource(summaryOf(vendor, question));
  const panel = resource.data && { ...resource.data, compare };
  const metric = NAMES.includes(query.get('metric')) ? query.get('metric') : 'revenue';
  const subject = { kind: 'seller', id: vendor, currency };
  const range = panel?.from && { from: panel.from, to: panel.to };
  const head = html`<${Head} vendor=${vendor} panel=${panel} plain=${plain} />`;
  const { error } = resource;
  if (error && error.code !== 'away' && !panel) return html`${head}<${Failure} error=${error} />`;
  const shown = { ...subject, currency: panel?.currency ?? currency };
  return html`${head}
    <${Toolbar} currencies=${panel && Object.keys(panel.revenueByCurrency)} panel=${panel} />
    ${panel?.asOf === 0 ? html`<${Empty} title=${t('nothingYet')}>${t('nothingYetMore')}<//>`
      : panel ? html`<ul class="kpis">${NAMES.map((name) => html`<${Kpi} key=${name} name=${name} number=${panel.metrics[name]}
          panel=${panel} subject=${shown} chosen=${name === metric} extra=${name === 'revenue' && t('gross')} />`)}</ul>`
      : html`<${KpisLoading} count=${NAMES.length} />`}
    <${Course} name=${metric} subject=${subject} panel=${panel} />
    <div class="grid">
      <${Today} subject=${subject} />
      <${Of} resource=${{ ...resource, data: panel, error: null }} kind="card">${() => html`<${Ratings} panel=${panel} subject=${shown} />`}<//>
      <${Ranking} what="products" title=${t('topProducts')} vendor=${vendor} />
      <${Of} resource=${{ ...resource, data: panel, error: null }} kind="card">${() => html`<${ByCurrency} panel=${panel} subject=${shown} />`}<//>
      <${OrderStats} vendor=${vendor} time=${time} currency=${currency} range=${range} subject=${shown} />
      ${!plain && html`<${Card} title=${t('statements')}><${Empty}>${t('noStatements')}<//><//>
        <${Card} title=${t('anomalies')}><${Empty}>${t('noAnomalies')}<//><//>`}
    </div>`;
}
