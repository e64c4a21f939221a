// The months of the marketplace, for admins and support: how final each is, and what it came to.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource } from '../data.js';
import { count, moment } from '../metrics.js';
import { t } from '../text.js';
import { Card, choose, CsvButton, Empty, Link, Of, route } from '../parts/basics.js';
import { daysOf, MONEY, moneyCells, State, writtenMonth } from '../parts/statement.js';

const COUNTS = ['orders', 'units', 'cancelledOrders', 'views', 'signups'];

function Row({ one }) {
  const { month, state, closedAt, calculatedAt, currencies } = one;
  return html`<tr data-month=${month}><th scope="row"><${Link} to="/" query=${daysOf(month)}>${writtenMonth(month)}<//></th>
    <td><${State} state=${state} /></td>${moneyCells(currencies)}
    ${COUNTS.map((name) => html`<td class="right" key=${name} data-value=${one[name]}>${count(one[name])}</td>`)}
    <td class="right when">${closedAt ? moment(closedAt) : '–'}</td><td class="right when">${moment(calculatedAt)}</td></tr>`;
}

export default function Months() {
  const { query } = route.use();
  const limit = Math.min(Math.max(Number(query.get('limit')) || 24, 1), 1000);
  const resource = useResource(`api/months?limit=${limit}`);
  const csv = html`<${CsvButton} address="api/months?limit=1000" name="months" what=${t('months')} />`;
  const head = (name, text) => html`<th scope="col" class="right" key=${name}>${text}</th>`;
  return html`<h1 tabindex="-1">${t('months')}</h1><p class="muted">${t('monthsNote')}</p>
    <${Card} title=${t('months')} tools=${csv}><${Of} resource=${resource} lines=${8} kind="rows">${({ items, nextCursor }) => (items.length
      ? html`<div class="scroll" tabindex="0" role="group" aria-label=${t('months')}><table><thead><tr><th scope="col">${t('month')}</th>
          <th scope="col">${t('state')}</th>${MONEY.map((name) => head(name, t(`statement.${name}`)))}${COUNTS.map((name) => head(name, t(name)))}
          ${head('closedAt', t('closedAt'))}${head('calculatedAt', t('calculatedAt'))}</tr></thead>
          <tbody>${items.map((one) => html`<${Row} key=${one.month} one=${one} />`)}</tbody></table></div>
        ${nextCursor && html`<button type="button" class="quiet more" onClick=${() => choose({ limit: limit + 60 }, { replace: true })}>${t('more')}</button>`}`
      : html`<${Empty}>${t('noMonths')}<//>`)}<//><//>`;
}
