// One part of a seller's panel, to stand in another page.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource } from '../data.js';
import { t } from '../text.js';
import { Empty, Lazy, Of, route } from '../parts/basics.js';
import { asked, Kpi, SELLER_NUMBERS, summaryOf } from '../parts/numbers.js';

/** The other parts, each loaded when it is asked for. */
const part = (from, name) => () => from().then((module) => ({ default: module[name] }));
const panels = () => import('../parts/panels.js');
const PARTS = {
  chart: part(() => import('../parts/course.js'), 'Course'),
  today: part(panels, 'Today'),
  ratings: part(panels, 'Ratings'),
  currencies: part(panels, 'ByCurrency'),
  'order-stats': part(panels, 'OrderStats'),
  'top-products': part(() => import('../parts/ranking.js'), 'Ranking'),
};

const TITLES = {
  chart: 'seller', currencies: 'byCurrency', 'order-stats': 'orderStats', 'top-products': 'topProducts', today: 'todaySoFar',
};

/** The names of numbers in addresses. */
const NUMBER_OF = { 'average-order': 'averageOrder' };

export default function Widget({ name, vendor }) {
  const { query } = route.use();
  const question = asked(query);
  const { time, compare, currency } = question;
  const resource = useResource(summaryOf(vendor, question));
  const subject = { kind: 'seller', id: vendor, currency };
  const number = NUMBER_OF[name] ?? name;
  const metric = SELLER_NUMBERS.includes(query.get('metric')) ? query.get('metric') : 'revenue';
  const draw = (data) => {
    const panel = { ...data, compare };
    const shown = { ...subject, currency: panel.currency };
    const range = panel.from && { from: panel.from, to: panel.to };
    if (panel.asOf === 0) return html`<${Empty} title=${t('nothingYet')}>${t('nothingYetMore')}<//>`;
    if (SELLER_NUMBERS.includes(number)) {
      return html`<ul class="kpis"><${Kpi} name=${number} number=${panel.metrics[number]} panel=${panel} subject=${shown}
        selectable=${false} extra=${number === 'revenue' && t('gross')} /></ul>`;
    }
    if (!Object.hasOwn(PARTS, name)) return html`<${Empty}>${t('noPage')}<//>`;
    const own = {
      chart: { name: metric, subject, panel },
      'order-stats': { vendor, time, currency, range, subject: shown },
      'top-products': { what: 'products', title: t('topProducts'), vendor },
    };
    return html`<${Lazy} from=${PARTS[name]} props=${own[name] ?? { panel, subject: shown }} />`;
  };
  return html`<h1 class="visually-hidden">${t(TITLES[name] ?? number)}</h1><${Of} resource=${resource} lines=${3}>${draw}<//>`;
}
