// The marketplace at a glance, for admins and support.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource, withQuery } from '../data.js';
import { t } from '../text.js';
import { Below, Empty, Of, route } from '../parts/basics.js';
import { Course } from '../parts/course.js';
import { asked, Kpi, KpisLoading, Toolbar } from '../parts/numbers.js';

const BELOW = () => import('./overview-below.js');
const NAMES = ['revenue', 'refunds', 'netRevenue', 'orders', 'units', 'averageOrder', 'views', 'conversion', 'signups', 'unattributedRevenue'];

function Numbers({ panel, subject, metric }) {
  if (panel.asOf === 0) return html`<${Empty} title=${t('nothingYet')}>${t('nothingYetMore')}<//>`;
  return html`<ul class="kpis">${NAMES.filter((name) => panel.metrics[name]).map((name) => html`<${Kpi} key=${name} name=${name}
    number=${panel.metrics[name]} panel=${panel} subject=${{ ...subject, currency: panel.currency }}
    chosen=${name === metric} extra=${name === 'revenue' && t('gross')} />`)}</ul>`;
}

export default function Overview() {
  const { query } = route.use();
  const { time, compare, currency } = asked(query);
  const resource = useResource(withQuery('api/overview', { ...time, compare, currency }));
  const panel = resource.data && { ...resource.data, compare };
  const metric = NAMES.includes(query.get('metric')) ? query.get('metric') : 'revenue';
  const subject = { kind: 'overall', currency };
  const range = panel?.from && { from: panel.from, to: panel.to };
  return html`
    <h1 tabindex="-1">${t('marketplace')}</h1>
    <${Toolbar} currencies=${panel && Object.keys(panel.revenueByCurrency)} panel=${panel} />
    ${panel ? html`<${Numbers} panel=${panel} subject=${subject} metric=${metric} />`
      : resource.error && resource.error.code !== 'away' ? html`<${Of} resource=${resource} />`
      : html`<${KpisLoading} count=${NAMES.length} />`}
    <${Course} name=${metric} subject=${subject} panel=${panel} marked />
    <${Below} from=${BELOW} props=${{ time, range, panel, subject }} />`;
}
