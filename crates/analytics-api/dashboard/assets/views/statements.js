// The statements of a seller: what each month came to, and the months that are not closed.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource, withQuery } from '../data.js';
import { explanation, local, moment, typeOf } from '../metrics.js';
import { t } from '../text.js';
import { Card, choose, Empty, Link, Of, route, sellerPath } from '../parts/basics.js';
import { Num, summaryOf } from '../parts/numbers.js';
import { Amounts, latestOf, MONEY, moneyCells, State, statementPath, statementsOf, writtenMonth } from '../parts/statement.js';

const PAGE = 100;
const MOST = 1000;
/** How many months back there may be one that is not closed. */
const MONTHS = 12;
/** One request is for as many metrics. */
const CURRENCIES = 20;

/** The numbers of the event log that become those of a statement. */
const METRIC_OF = { gross: 'revenue', refunds: 'refunds', net: 'netRevenue' };

/** The first day of the first month that may not be closed. */
function firstDay() {
  const { year, month } = local(Date.now());
  return new Date(Date.UTC(year, month - MONTHS, 1)).toISOString().slice(0, 10);
}

/** The latest months with what was counted until now, each with an `amount` of every number and currency. */
function useCounted(vendor) {
  const { data: summary } = useResource(summaryOf(vendor, { time: { period: 'this_month' } }));
  const codes = Object.keys(summary?.revenueByCurrency ?? {}).slice(0, CURRENCIES);
  const subject = (currency) => ({ kind: 'seller', id: vendor, currency });
  const typeIn = (name, currency) => typeOf(METRIC_OF[name], subject(currency));
  const answers = Object.fromEntries(MONEY.map((name) => {
    const type = codes.map((currency) => typeIn(name, currency));
    return [name, useResource(type.length ? withQuery('api/metrics/series', { type, interval: 'month', from: firstDay() }) : null).data];
  }));
  const buckets = answers.gross?.items[0]?.buckets ?? [];
  return buckets.map(({ start, partial, complete }, index) => {
    const amount = (name, currency) => {
      const series = answers[name]?.items.find(({ type }) => type === typeIn(name, currency));
      const bucket = series?.buckets[index];
      if (!bucket) return null;
      const range = { from: bucket.start, to: bucket.end, asOf: series.asOf };
      return { raw: bucket.value, range, explanation: explanation(METRIC_OF[name], subject(currency), range, bucket.events) };
    };
    const counted = codes.filter((currency) => MONEY.some((name) => amount(name, currency)?.raw));
    return { month: start.slice(0, 7), state: complete && !partial ? 'complete' : 'open', counted, amount };
  });
}

/** A month without a statement: each of its numbers leads to its events. */
function NotClosed({ month, state, counted, amount }) {
  const number = (name) => ({ currency }) => {
    const found = amount(name, currency);
    return found ? html`<${Num} label=${`${t(`statement.${name}`)}, ${writtenMonth(month)}`} unit="minor_units" currency=${currency} ...${found} />` : '…';
  };
  const items = counted.map((currency) => ({ currency }));
  return html`<tr data-month=${month}><th scope="row">${writtenMonth(month)}</th><td><${State} state=${state} /></td><td class="right">–</td>
    ${MONEY.map((name) => html`<td class="right" key=${name}><${Amounts} items=${items} draw=${number(name)} /></td>`)}
    <td class="right muted">${t('notClosed')}</td></tr>`;
}

function Closed({ vendor, head }) {
  const { month, version, currencies, closedAt, damaged } = head;
  const restated = version > 1 ? 'restated' : 'closed';
  return html`<tr data-month=${month}><th scope="row"><${Link} to=${statementPath(vendor, month)}>${writtenMonth(month)}<//></th>
    <td><${State} state=${damaged ? 'damaged' : restated} /></td><td class="right">${version}</td>${moneyCells(currencies)}
    <td class="right when">${moment(closedAt)}</td></tr>`;
}

function Months({ vendor, heads, counted }) {
  const closed = new Set(heads.map(({ month }) => month));
  const rest = counted.filter((one) => one.counted.length && !closed.has(one.month));
  const rows = [
    ...heads.map((head) => [head.month, html`<${Closed} key=${head.month} vendor=${vendor} head=${head} />`]),
    ...rest.map((one) => [one.month, html`<${NotClosed} key=${one.month} ...${one} />`]),
  ];
  rows.sort(([a], [b]) => (a < b ? 1 : -1));
  return html`${!heads.length && html`<${Empty}>${t('noStatements')}<//>`}
    ${rows.length > 0 && html`<div class="scroll" tabindex="0" role="group" aria-label=${t('statements')}><table><thead><tr>
      <th scope="col">${t('month')}</th><th scope="col">${t('state')}</th><th scope="col" class="right">${t('version')}</th>
      ${MONEY.map((name) => html`<th scope="col" class="right" key=${name}>${t(`statement.${name}`)}</th>`)}
      <th scope="col" class="right">${t('closedAt')}</th></tr></thead><tbody>${rows.map(([, row]) => row)}</tbody></table></div>`}`;
}

export default function Statements({ vendor }) {
  const { query } = route.use();
  const limit = Math.min(PAGE * (Number(query.get('pages')) || 1), MOST);
  const resource = useResource(withQuery(statementsOf(vendor), { limit }));
  const counted = useCounted(vendor);
  return html`<div class="head"><h1 tabindex="-1">${t('statements')} <small>${vendor}</small></h1>
      <${Link} to=${sellerPath(vendor)}>${t('back')}<//></div>
    <p class="muted">${t('statementsNote')} ${t('notPayout')}</p>
    <${Card} title=${t('months')}><${Of} resource=${resource} lines=${6} kind="rows">${({ items, nextCursor }) => html`
      <${Months} vendor=${vendor} heads=${latestOf(items)} counted=${counted} />
      ${nextCursor && limit < MOST && html`<button type="button" class="quiet more"
        onClick=${() => choose({ pages: limit / PAGE + 1 }, { replace: true })}>${t('more')}</button>`}`}<//><//>`;
}
