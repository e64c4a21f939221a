// The panel of a seller.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource } from '../data.js';
import { session } from '../session.js';
import { t } from '../text.js';
import { Below, Choice, Empty, Failure, kept, Link, navigate, route, sellerPath } from '../parts/basics.js';
import { Course } from '../parts/course.js';
import { asked, Kpi, KpisLoading, SELLER_NUMBERS, summaryOf, Toolbar } from '../parts/numbers.js';

const BELOW = () => import('./seller-below.js');
function Head({ vendor, panel, plain }) {
  const { query } = route.use();
  const { role, vendors = [] } = session.use();
  const isStaff = role === 'admin' || role === 'support';
  const others = vendors.length > 1 && html`<${Choice} label=${t('switchShop')} value=${vendor}
    options=${vendors.map((id) => [id, id])} onChange=${(id) => navigate(sellerPath(id), kept(query))} />`;
  return html`<div class="head">
    <h1 tabindex="-1">${panel?.name ?? vendor}${panel?.name && html` <small>${vendor}</small>`}</h1>
    ${!plain && html`<div class="tools">${role !== 'support' && html`<${Link} to=${`${sellerPath(vendor)}/statements`}>${t('statements')}<//>
      <${Link} to=${`${sellerPath(vendor)}/reconcile`}>${t('reconcile')}<//>`}
      ${isStaff && html`<${Link} to="/" query=${kept(query)}>${t('allSellers')}<//>`}</div>`}${others}</div>`;
}

/** The panel of one seller. `plain` has no way out: it stands in another page. */
export default function Seller({ vendor, plain = false }) {
  const { query } = route.use();
  const question = asked(query);
  const { time, compare, currency } = question;
  const resource = useResource(summaryOf(vendor, question));
  const panel = resource.data && { ...resource.data, compare };
  const metric = SELLER_NUMBERS.includes(query.get('metric')) ? query.get('metric') : 'revenue';
  const subject = { kind: 'seller', id: vendor, currency };
  const range = panel?.from && { from: panel.from, to: panel.to };
  const head = html`<${Head} vendor=${vendor} panel=${panel} plain=${plain} />`;
  const { error } = resource;
  if (error && error.code !== 'away' && !panel) return html`${head}<${Failure} error=${error} />`;
  const shown = { ...subject, currency: panel?.currency ?? currency };
  return html`${head}
    <${Toolbar} currencies=${panel && Object.keys(panel.revenueByCurrency)} panel=${panel} />
    ${panel?.asOf === 0 ? html`<${Empty} title=${t('nothingYet')}>${t('nothingYetMore')}<//>`
      : panel ? html`<ul class="kpis">${SELLER_NUMBERS.map((name) => html`<${Kpi} key=${name} name=${name} number=${panel.metrics[name]}
          panel=${panel} subject=${shown} chosen=${name === metric} extra=${name === 'revenue' && t('gross')} />`)}</ul>`
      : html`<${KpisLoading} count=${SELLER_NUMBERS.length} />`}
    <${Course} name=${metric} subject=${subject} panel=${panel} marked=${!plain} />
    <${Below} from=${BELOW} props=${{ vendor, time, currency, range, panel, subject, shown, plain }} />`;
}
