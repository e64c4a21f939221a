// Parts of panels: revenue by currency, ratings, today against earlier days, events by type.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { now, useResource, withQuery } from '../data.js';
import { clock, count, explanation, NUMBERS, typeOf, writtenBucket, writtenChange } from '../metrics.js';
import { base } from '../session.js';
import { t } from '../text.js';
import { Card, CsvButton, Empty, Link, Of } from './basics.js';
import { Num, Sparkline } from './numbers.js';
import './more-style.js';

/** The revenue of a panel in every currency; each is a number of its own. */
export function ByCurrency({ panel, subject }) {
  const range = { from: panel.from, to: panel.to, asOf: panel.asOf };
  const amounts = Object.entries(panel.revenueByCurrency ?? {});
  const row = ([currency, raw]) => html`<tr key=${currency}><th scope="row">${currency}</th><td class="right">
    <${Num} label=${`${t('revenue')}, ${currency}`} raw=${raw} unit="minor_units" currency=${currency}
      explanation=${explanation('revenue', { ...subject, currency }, range)} range=${range} /></td></tr>`;
  return html`<${Card} title=${t('byCurrency')}><table><thead class="visually-hidden"><tr><th scope="col">${t('currency')}</th>
    <th scope="col">${t('revenue')}</th></tr></thead><tbody>${amounts.map(row)}</tbody></table>
    <p class="foot">${t('grossNote')}</p><//>`;
}

/** How many ratings have each number of stars. */
export function Stars({ histogram }) {
  const most = Math.max(1, ...Object.values(histogram));
  const row = (stars) => html`<div class="stars" key=${stars}><dt>${t('stars', { n: stars })}</dt>
    <dd><span class="track" aria-hidden="true"><i style=${{ width: `${((histogram[stars] ?? 0) / most) * 100}%` }}></i></span
      ><span class="number" data-stars=${stars} data-value=${histogram[stars] ?? 0}>${count(histogram[stars] ?? 0)}</span></dd></div>`;
  return html`<dl class="histogram">${[5, 4, 3, 2, 1].map(row)}</dl>`;
}

/** The ratings that a range received, by stars. */
export function Ratings({ panel, subject }) {
  const { rating, ratings } = panel.metrics;
  const range = { from: panel.from, to: panel.to, asOf: panel.asOf };
  return html`<${Card} title=${t('ratings')}>
    <p class="lead"><${Num} kind="big" label=${t('rating')} raw=${rating.value} unit="stars_x100" range=${range}
      explanation=${explanation('rating', subject, range, rating.events)} />
      <span class="muted">${t('ratingNote', { n: ratings?.count ?? 0 })}</span></p>
    <${Stars} histogram=${ratings?.histogram ?? {}} /><//>`;
}

const TODAY = ['revenue', 'orders', 'units', 'views'];

function todayAddress(subject, compare) {
  const type = TODAY.map((name) => typeOf(name, subject));
  return withQuery('api/metrics/series', { type, period: 'today', interval: 'hour', compare });
}

/** Today so far against the same hours of earlier days. */
export function Today({ subject }) {
  const answers = ['previous', 'previous_week', 'previous_year'].map((compare) => useResource(todayAddress(subject, compare)));
  const [first] = answers;
  const earlier = (name, series) => {
    const { comparison, asOf, currency, change } = series;
    const buckets = comparison?.buckets ?? [];
    if (!buckets.length) return html`<span class="muted">–</span>`;
    const range = { from: buckets[0].start, to: buckets.at(-1).end, asOf };
    return html`<${Num} label=${t(name)} raw=${comparison.previous} unit=${NUMBERS[name].unit} currency=${currency}
        range=${range} explanation=${explanation(name, subject, range)} />
      ${change !== null && html`<small class="change ${change > 0 ? 'up' : change < 0 ? 'down' : 'same'}">${writtenChange(change)}</small>`}`;
  };
  const present = (name, { comparison, buckets, asOf, currency, total }) => {
    // Until the last full hour, as what it is compared with; in the first hour there is only the rest.
    const start = buckets[0].start;
    const compared = comparison && Date.parse(comparison.until) > Date.parse(start);
    const range = { from: start, to: compared ? comparison.until : buckets.at(-1).end, asOf };
    return html`<${Num} label=${t(name)} raw=${compared ? comparison.current : total} unit=${NUMBERS[name].unit}
      currency=${currency} range=${range} explanation=${explanation(name, subject, range)} />`;
  };
  const row = (name, index) => html`<tr key=${name}><th scope="row">${t(name)}</th>
    <td class="right">${present(name, first.data.items[index])}</td>
    ${answers.map(({ data }, at) => html`<td class="right" key=${at}>${data?.items[index] ? earlier(name, data.items[index]) : '…'}</td>`)}</tr>`;
  return html`<${Card} title=${t('todaySoFar')} kind="today"><${Of} resource=${first} lines=${4} kind="rows">${({ items }) => (items.length
    ? html`<div class="scroll" tabindex="0" role="group" aria-label=${t('todaySoFar')}><table><thead><tr><td></td><th scope="col" class="right">${t('now')}</th>
        <th scope="col" class="right">${t('yesterday')}</th><th scope="col" class="right">${t('lastWeek')}</th>
        <th scope="col" class="right">${t('lastYear')}</th></tr></thead><tbody>${TODAY.slice(0, items.length).map(row)}</tbody></table></div>
      ${items[0].comparison && html`<p class="foot">${t('todayUntil', { time: clock(items[0].comparison.until) })}</p>`}`
    : html`<${Empty} />`)}<//><//>`;
}

/** The events of each type over time, with links to them in the log. */
export function EventsByType({ time, range, canOpen }) {
  const query = { ...(time.period === 'all' ? range : time), interval: time.period === 'all' ? 'month' : 'day' };
  const address = withQuery('api/events/stats', query);
  const resource = useResource(time.period === 'all' && !range ? null : address);
  const draw = ({ buckets, interval }) => {
    // Every type is in every bucket, also those that nothing happened of.
    const types = Object.keys(buckets[0]?.counts ?? {}).filter((type) => buckets.some(({ counts }) => counts[type] > 0));
    if (!types.length) return html`<${Empty} />`;
    const panel = { from: buckets[0].start, to: buckets.at(-1).end, interval };
    const row = (type) => {
      const series = buckets.map((bucket) => bucket.counts[type]);
      const total = series.reduce((sum, one) => sum + one, 0);
      const text = count(total);
      return html`<tr key=${type}><th scope="row">${type}</th><td class="course-cell"><${Sparkline} series=${series} panel=${panel} /></td>
        <td class="right">${canOpen ? html`<${Link} to="/events" query=${{ type, from: panel.from, to: panel.to }}>${text}<//>` : text}</td></tr>`;
    };
    return html`<table class="by-type"><thead class="visually-hidden"><tr><th scope="col">${t('type')}</th><th scope="col">${t('time')}</th>
      <th scope="col">${t('events')}</th></tr></thead><tbody>${types.map(row)}</tbody></table>
      <details><summary>${t('asTable')}</summary><div class="scroll tall" tabindex="0" role="group" aria-label=${t('eventsByType')}><table><thead><tr><th scope="col">${t('time')}</th>
        ${types.map((type) => html`<th scope="col" class="right" key=${type}>${type}</th>`)}</tr></thead><tbody>
        ${buckets.filter(({ start }) => Date.parse(start) < now()).map(({ start, counts }) => html`<tr key=${start}><th scope="row">${writtenBucket(start, interval, { long: true })}</th>
          ${types.map((type) => html`<td class="right" key=${type}>${count(counts[type])}</td>`)}</tr>`)}</tbody></table></div></details>`;
  };
  const csv = html`<${CsvButton} address=${address} name="events-by-type" what=${t('eventsByType')} />`;
  return html`<${Card} title=${t('eventsByType')} tools=${csv}><${Of} resource=${resource} lines=${4} kind="rows">${draw}<//><//>`;
}

const STATS = ['orders', 'units', 'revenue', 'averageOrder'];

/** Orders, units, revenue and the average order over time. */
export function OrderStats({ vendor, time, currency, range, subject }) {
  const isAll = time.period === 'all';
  const interval = isAll ? 'month' : time.period === 'today' || time.period === 'yesterday' ? 'hour' : time.period === 'this_year' ? 'month' : 'day';
  const query = { ...(isAll ? range : time), interval, currency };
  const address = withQuery(`${base}/api/sellers/${encodeURIComponent(vendor)}/orders/stats`, query);
  const resource = useResource(isAll && !range ? null : address);
  const draw = (stats) => {
    const buckets = stats.buckets.filter((bucket) => Date.parse(bucket.start) < now()).reverse();
    const cell = (bucket) => (name) => {
      const span = { from: bucket.start, to: bucket.end, asOf: stats.asOf };
      return html`<td class="right" key=${name}><${Num} label=${`${t(name)}, ${writtenBucket(bucket.start, interval, { long: true })}`}
        raw=${bucket[name]} unit=${NUMBERS[name].unit} currency=${stats.currency} range=${span}
        explanation=${explanation(name, subject, span)} /></td>`;
    };
    return html`<div class="scroll tall" tabindex="0" role="group" aria-label=${t('orderStats')}><table><thead><tr><th scope="col">${t('time')}</th>
      ${STATS.map((name) => html`<th scope="col" class="right" key=${name}>${t(name)}</th>`)}</tr></thead>
      <tbody>${buckets.map((bucket) => html`<tr key=${bucket.start}><th scope="row">${writtenBucket(bucket.start, interval, { long: true })}
        ${Date.parse(bucket.end) > now() && html`<small class="muted"> ${t('unfinished')}</small>`}</th>${STATS.map(cell(bucket))}</tr>`)}</tbody></table></div>`;
  };
  const csv = html`<${CsvButton} address=${address} name="orders-over-time" what=${t('orderStats')} />`;
  return html`<${Card} title=${t('orderStats')} tools=${csv} kind="wide"><${Of} resource=${resource} lines=${8} kind="rows">${draw}<//><//>`;
}

