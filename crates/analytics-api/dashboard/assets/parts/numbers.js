// The numbers of a panel, what they are of, and the keys that choose it.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { freshness, now, withQuery } from '../data.js';
import { explanation, local, moment, NUMBERS, written, writtenChange, writtenRange } from '../metrics.js';
import { base, config, signal } from '../session.js';
import { t } from '../text.js';
import { Choice, choose, Hidden, Lazy, route } from './basics.js';

export const explained = signal(null);

/** A number as a button. `explanation` has its metric and sides, `range` its `from`, `to` and `asOf`. */
export function Num({ label, raw, unit, currency, explanation, range, note, kind = '' }) {
  const { metric, sides } = explanation;
  const { from, to, asOf } = range;
  const open = () => explained.set({ label, raw, unit, currency, metric, sides, range, note });
  return html`<button type="button" class="num ${kind}" onClick=${open} aria-haspopup="dialog"
    data-metric=${metric} data-value=${String(raw)} data-asof=${asOf} data-from=${from} data-to=${to}
    ><${Hidden}>${label}: <//>${written(raw, unit, currency)}<${Hidden}>, ${t('showEvents')}<//></button>`;
}

const WIDTH = 120;
const HEIGHT = 32;
const MARGIN = 3;

/** Until when everything is counted, in milliseconds, or now while counting keeps up. */
export function countedUntil() {
  const { state, countedUpTo } = freshness.get() ?? {};
  const upTo = countedUpTo && Date.parse(countedUpTo);
  return state !== 'live' && upTo ? Math.min(upTo, now()) : now();
}

/** The number of the bucket that `at` lies in; the number of buckets if it is after them. */
export function bucketAt(at, { from, to, interval }, buckets) {
  const [start, end] = [Date.parse(from), Date.parse(to)];
  if (at >= end) return buckets;
  if (interval === 'month') {
    const months = ({ year, month }) => year * 12 + month;
    return months(local(at)) - months(local(start));
  }
  return Math.floor(((at - start) / (end - start)) * buckets);
}

/** The course of a number over the buckets of a panel. It says nothing that the page does not say. */
export function Sparkline({ series, panel }) {
  const current = bucketAt(countedUntil(), panel, series.length);
  const full = series.slice(0, current);
  const apart = series[current];
  const values = series.slice(0, current + 1).filter((value) => value !== null && value !== undefined);
  const [least, most] = [Math.min(0, ...values), Math.max(0, ...values)];
  const x = (index) => MARGIN + (index / Math.max(series.length - 1, 1)) * (WIDTH - 2 * MARGIN);
  const y = (value) => HEIGHT - MARGIN - ((value - least) / (most - least || 1)) * (HEIGHT - 2 * MARGIN);
  let pen = 'M';
  let path = '';
  full.forEach((value, index) => {
    if (value === null) pen = 'M';
    else {
      path += `${pen}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = 'L';
    }
  });
  // A line of no length has round ends whatever the scale of the picture.
  const dot = `M${x(current).toFixed(1)} ${y(apart ?? 0).toFixed(1)}h.01`;
  const point = apart !== null && apart !== undefined
    && html`<path class="apart" d=${dot} /><path class="apart" d=${dot} />`;
  return html`<svg class="sparkline" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
    <path d=${path} />${point}</svg>`;
}

export function Change({ number, compare = 'previous' }) {
  const { change } = number;
  if (change === null || change === undefined) return html`<span class="change none">${t('noBase')}</span>`;
  const direction = change > 0 ? 'up' : change < 0 ? 'down' : 'same';
  const arrow = { up: '▲', down: '▼', same: '' }[direction];
  return html`<span class="change ${direction}"><span class="arrow" aria-hidden="true">${arrow}</span
    ><span>${change === 0 ? t('unchanged') : writtenChange(change)}</span>${
    change !== 0 && html` <span class="than">${t(`than.${compare}`)}</span>`}</span>`;
}

function comparison(number, currency, panel) {
  if (number.previous === null || number.previous === undefined) return undefined;
  const shown = (raw) => written(raw, number.unit, currency);
  const end = Math.min(Date.now(), Date.parse(panel.to));
  return t('until', {
    until: moment(new Date(end - (end % 3_600_000))),
    current: shown(number.current),
    previous: shown(number.previous),
  });
}

/** One number of a panel. `chosen` is the one that the chart shows. */
export function Kpi({ name, number, panel, subject, chosen, label = t(name), extra, selectable = true }) {
  const range = { from: panel.from, to: panel.to, asOf: panel.asOf };
  const choice = () => choose({ metric: name }, { replace: true });
  const title = selectable
    ? html`<button type="button" class="kpi-title" aria-pressed=${String(Boolean(chosen))} onClick=${choice}>${label}${extra
        && html` <small>${extra}</small>`}</button>`
    : html`<span class="kpi-title">${label}${extra && html` <small>${extra}</small>`}</span>`;
  return html`<li class="kpi ${chosen ? 'chosen' : ''}">
    ${title}
    <${Num} kind="big" label=${label} raw=${number.value} unit=${NUMBERS[name].unit} currency=${panel.currency}
      explanation=${explanation(name, subject, range, number.events)} range=${range}
      note=${comparison(number, panel.currency, panel)} />
    <${Change} number=${number} compare=${panel.compare} />
    <${Sparkline} series=${number.series} panel=${panel} />
  </li>`;
}

export function KpisLoading({ count }) {
  const one = (_, index) => html`<li class="kpi" key=${index}><span class="bar short"></span><span class="bar tall"></span
    ><span class="bar short"></span><span class="sparkline"></span></li>`;
  return html`<ul class="kpis" aria-busy="true"><${Hidden}>${t('loading')}<//>${Array.from({ length: count }, one)}</ul>`;
}

export const PERIODS = [
  ['today', 'd'],
  ['yesterday', 'y'],
  ['7d', 'w'],
  ['30d', 'm'],
  ['90d', 'q'],
  ['this_month', 't'],
  ['last_month', 'l'],
  ['this_year', 'j'],
  ['all', 'a'],
];
export const COMPARISONS = ['previous', 'previous_week', 'previous_year'];
const DEFAULT_PERIOD = '30d';
const DATES = () => import('./dates.js');

export function asked(query) {
  const currency = query.get('currency') ?? undefined;
  const compare = COMPARISONS.includes(query.get('compare')) ? query.get('compare') : 'previous';
  const [from, to] = [query.get('from'), query.get('to')];
  const time = from ? { from, to: to ?? undefined } : { period: query.get('period') ?? DEFAULT_PERIOD };
  return { time, compare, currency: currency === config.currency ? undefined : currency };
}

export const choosePeriod = (period) => choose({ period, from: undefined, to: undefined, interval: undefined });

/** Time, comparison and currency of a panel. */
export function Toolbar({ currencies, panel }) {
  const { query } = route.use();
  const [custom, setCustom] = useState(false);
  const { compare, currency } = asked(query);
  const period = query.get('from') || custom ? 'custom' : query.get('period') ?? DEFAULT_PERIOD;
  const onPeriod = (name) => {
    setCustom(name === 'custom');
    if (name !== 'custom') choosePeriod(name);
  };
  const known = [...new Set([config.currency, ...(currencies ?? []), ...(currency ? [currency] : [])])].sort();
  const onCurrency = (code) => choose({ currency: code === config.currency ? undefined : code });
  return html`<div class="toolbar">
    <${Choice} label=${t('period')} value=${period} onChange=${onPeriod}
      options=${[...PERIODS.map(([name]) => [name, t(name)]), ['custom', t('custom')]]} />
    ${period === 'custom' && html`<${Lazy} quiet from=${DATES} props=${{ onDone: () => setCustom(false) }} />`}
    <${Choice} kind="compare" label=${t('compare')} value=${compare} options=${COMPARISONS.map((name) => [name, t(name)])}
      onChange=${(name) => choose({ compare: name === 'previous' ? undefined : name })} />
    <${Choice} label=${t('currency')} value=${currency ?? config.currency}
      options=${known.map((code) => [code, code])} onChange=${onCurrency} />
    <p class="range">${panel?.from ? writtenRange(panel.from, panel.to) : ' '}
      <small>${t('timezone', { timezone: config.timezone })}</small></p>
  </div>`;
}

export const help = signal(false);

/** The numbers of a seller's summary. */
export const SELLER_NUMBERS = ['revenue', 'refunds', 'netRevenue', 'orders', 'units', 'averageOrder', 'views', 'conversion', 'rating'];

/** The address of a seller's summary. */
export const summaryOf = (vendor, { time, compare, currency }) =>
  withQuery(`${base}/api/sellers/${encodeURIComponent(vendor)}/summary`, { ...time, compare, currency });
