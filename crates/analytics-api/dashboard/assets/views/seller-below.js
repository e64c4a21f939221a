// A seller's panel below its numbers: today, ratings, products, currencies, statements, orders over time.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { session } from '../session.js';
import { t } from '../text.js';
import { Of } from '../parts/basics.js';
import { Anomalies } from '../parts/anomalies.js';
import { LastStatements } from '../parts/last-statements.js';
import { ByCurrency, OrderStats, Ratings, Today } from '../parts/panels.js';
import { Ranking } from '../parts/ranking.js';

export default function SellerBelow({ vendor, time, currency, range, panel, subject, shown, plain }) {
  const isOwners = !plain && session.use().role !== 'support';
  return html`
    <div class="grid">
      ${!plain && html`<${Anomalies} vendor=${vendor} />`}
      <${Today} subject=${subject} />
      <${Of} resource=${{ data: panel }} kind="card">${() => html`<${Ratings} panel=${panel} subject=${shown} />`}<//>
      <${Ranking} what="products" title=${t('topProducts')} vendor=${vendor} />
      <${Of} resource=${{ data: panel }} kind="card">${() => html`<${ByCurrency} panel=${panel} subject=${shown} />`}<//>
      ${isOwners && html`<${LastStatements} vendor=${vendor} />`}
      <${OrderStats} vendor=${vendor} time=${time} currency=${currency} range=${range} subject=${shown} />
    </div>`;
}
