// One part of a seller's panel, to stand in another page.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource } from '../data.js';
import { t } from '../text.js';
import { Empty, Of, route } from '../parts/basics.js';
import { Course } from '../parts/course.js';
import { asked, Kpi } from '../parts/numbers.js';
import { ByCurrency, OrderStats, Ratings, Today } from '../parts/panels.js';
import { Ranking } from '../parts/ranking.js';
import { NAMES, summaryOf } from './seller.js';

/** The names of numbers in addresses. */
const NUMBER_OF = { 'average-order': 'averageOrder' };

export default function Widget({ name, vendor }) {
  const { query } = route.use();
  const question = asked(query);
  const { time, compare, currency } = question;
  const resource = useResource(summaryOf(vendor, question));
  const subject = { kind: 'seller', id: vendor, currency };
  const number = NUMBER_OF[name] ?? name;
  const metric = NAMES.includes(query.get('metric')) ? query.get('metric') : 'revenue';
  const draw = (data) => {
    const panel = { ...data, compare };
    const shown = { ...subject, currency: panel.currency };
    const range = panel.from && { from: panel.from, to: panel.to };
    if (panel.asOf === 0) return html`<${Empty} title=${t('nothingYet')}>${t('nothingYetMore')}<//>`;
    if (NAMES.includes(number)) {
      return html`<ul class="kpis"><${Kpi} name=${number} number=${panel.metrics[number]} panel=${panel} subject=${shown}
        selectable=${false} extra=${number === 'revenue' && t('gross')} /></ul>`;
    }
    switch (name) {
      case 'chart':
        return html`<${Course} name=${metric} subject=${subject} panel=${panel} />`;
      case 'today':
        return html`<${Today} subject=${subject} />`;
      case 'ratings':
        return html`<${Ratings} panel=${panel} subject=${shown} />`;
      case 'currencies':
        return html`<${ByCurrency} panel=${panel} subject=${shown} />`;
      case 'top-products':
        return html`<${Ranking} what="products" title=${t('topProducts')} vendor=${vendor} />`;
      case 'order-stats':
        return html`<${OrderStats} vendor=${vendor} time=${time} currency=${currency} range=${range} subject=${shown} />`;
      default:
        return html`<${Empty}>${t('noPage')}<//>`;
    }
  };
  return html`<h1 class="visually-hidden">${t(number)}</h1><${Of} resource=${resource} lines=${3}>${draw}<//>`;
}
