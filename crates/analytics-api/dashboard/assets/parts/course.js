// A number over time: as a chart, or as a table with the events of each bucket.

import { html, useRef } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { now } from '../api.js';
import { config } from '../config.js';
import { bucket as writtenBucket, moment, range as writtenRange, value as written } from '../format.js';
import { freshness } from '../live.js';
import { divided, explanation, NUMBERS, scaleOf, seriesOf, typeOf } from '../metrics.js';
import { useResource } from '../resources.js';
import { choose, route } from '../router.js';
import { t } from '../text.js';
import { Card, Choice, CsvButton, Loading, Of } from './basics.js';
import { explained, Num } from './number.js';
import { Plot } from './plot.js';
import { countedUntil } from './sparkline.js';
import { asked } from './toolbar.js';

const DAY = 86_400_000;
const INTERVALS = ['hour', 'day', 'week', 'month'];
/** The longest range by the hour: the API has at most 1000 buckets. */
const MOST_HOURS = 40 * DAY;

function length(time, panel) {
  const known = { today: 1, yesterday: 1, '7d': 7, '30d': 30, '90d': 90, this_month: 31, last_month: 31, this_year: 366 };
  if (time.period in known) return known[time.period] * DAY;
  if (time.from) return Date.parse(time.to ?? new Date(now()).toISOString()) - Date.parse(time.from) + DAY;
  return panel?.from ? Date.parse(panel.to) - Date.parse(panel.from) : 0;
}

/** The interval that suits a range. */
function suited(long) {
  if (long <= 2 * DAY) return 'hour';
  if (long <= 100 * DAY) return 'day';
  return long <= 731 * DAY ? 'week' : 'month';
}

/** The buckets as they are drawn: which are shown, and which stand apart. */
function drawn(buckets) {
  const until = countedUntil();
  const known = buckets.some((bucket) => bucket.complete);
  return buckets.map((bucket) => ({
    ...bucket,
    shown: Date.parse(bucket.start) < now() && !(Date.parse(bucket.start) >= until && !bucket.value),
    apart: bucket.partial || (known && !bucket.complete),
  }));
}

/** Divides the buckets of one series by those of another. */
function quotient(numerators, denominators, scale) {
  return numerators.map((bucket, index) => ({
    ...bucket,
    value: divided(bucket.value, denominators[index]?.value ?? 0, scale),
    events: undefined,
  }));
}

/** Reads the series of a number, or of the two that it is the quotient of. */
function useSeries(name, subject, query) {
  const known = NUMBERS[name];
  const isKept = Boolean(known[subject.kind]);
  const [first, second] = isKept ? [name] : known.quotient;
  const address = (part) => part && query && seriesOf(typeOf(part, subject), query);
  const [one, two] = [useResource(address(first)), useResource(address(second))];
  if (isKept) return { ...one, csv: address(first) };
  const { data: above } = one;
  const { data: below } = two;
  const scale = scaleOf(known.unit);
  const data = above && below && above.buckets.length === below.buckets.length
    ? {
      ...above,
      buckets: quotient(above.buckets, below.buckets, scale),
      comparison: above.comparison && below.comparison
        && { ...above.comparison, buckets: quotient(above.comparison.buckets, below.comparison.buckets, scale) },
    }
    : null;
  return { ...one, data, error: one.error ?? two.error, csv: address(first) };
}

function Table({ rows, label, show, before }) {
  const note = (point) => (point.partial ? t('unfinished') : point.apart ? t('uncounted') : '');
  const line = (point, index) => html`<tr key=${point.start}>
    <th scope="row">${show.time(point)}</th>
    <td class="right">${point.shown ? show.number(point) : '–'}</td>
    <td class="right muted">${before[index] ? show.number(before[index]) : '–'}</td>
    <td class="muted">${point.shown && note(point)}</td></tr>`;
  return html`<div class="scroll tall" tabindex="0" role="group" aria-label=${label}><table>
    <thead><tr><th scope="col">${t('time')}</th><th scope="col" class="right">${label}</th>
      <th scope="col" class="right">${t('before')}</th><th scope="col"><span class="visually-hidden">${t('state')}</span></th></tr></thead>
    <tbody>${rows.map(line)}</tbody></table></div>`;
}

const Legend = ({ label }) => html`<p class="legend" aria-hidden="true">
  <span><i class="key full"></i>${label}</span><span><i class="key apart"></i>${t('legendApart')}</span>
  <span><i class="key before"></i>${t('before')}</span></p>`;

function Nothing() {
  const known = freshness.use();
  return html`<p class="zero" role="note">${known?.countedUpTo
    ? t('allZero', { time: moment(known.countedUpTo) }) : t('allZeroUnknown')}</p>`;
}

function Drawn({ series, name, subject, asTable, label, exporter }) {
  freshness.use();
  const { unit } = NUMBERS[name];
  const { currency, asOf, interval } = series;
  const points = drawn(series.buckets);
  const before = series.comparison?.buckets ?? [];
  const explain = (point) => {
    const range = { from: point.start, to: point.end, asOf };
    return { range, ...explanation(name, subject, range, point.events) };
  };
  const time = (point) => writtenBucket(point.start, interval, { long: true });
  const at = (point) => {
    const { range, ...how } = explain(point);
    return { label: `${label}, ${time(point)}`, raw: point.value, unit, currency, range, explanation: how };
  };
  const show = { time, number: (point) => html`<${Num} ...${at(point)} />` };
  if (asTable) return html`<${Table} rows=${points} before=${before} label=${label} show=${show} />`;
  const describe = (index) => {
    const [point, earlier] = [points[index], before[index]];
    const said = [point ? time(point) : ''];
    if (point?.shown) said.push(written(point.value, unit, currency) + (point.apart ? ` (${t(point.partial ? 'unfinished' : 'uncounted')})` : ''));
    if (earlier) said.push(`${time(earlier)}: ${written(earlier.value, unit, currency)}`);
    return said;
  };
  const open = (index) => {
    const point = points[index];
    if (!point?.shown) return;
    const { explanation: how, ...rest } = at(point);
    explained.set({ ...rest, ...how });
  };
  const labels = (points.length >= before.length ? points : before).map((point) => writtenBucket(point.start, interval));
  const isZero = points.every((point) => !point.value);
  const [first, last] = [points[0], points.at(-1)];
  return html`<${Plot} points=${points} before=${before} labels=${labels} unit=${unit} currency=${currency}
      label=${t('chart', { what: label })} describe=${describe} open=${open} exporter=${exporter} title=${label}
      subtitle=${first ? `${writtenRange(first.start, last.end)} · ${config.timezone}` : ''} name=${name} />
    ${isZero && html`<${Nothing} />`}<${Legend} label=${label} />`;
}

/** The card of a number over time. `panel` gives the range of `period=all`, once it is known. */
export function Course({ name, subject, panel }) {
  const { query } = route.use();
  const exporter = useRef(null);
  const { time, compare } = asked(query);
  const long = length(time, panel);
  const possible = INTERVALS.filter((interval) => interval !== 'hour' || long <= MOST_HOURS);
  const interval = possible.includes(query.get('interval')) ? query.get('interval') : suited(long);
  const isAll = time.period === 'all';
  const range = isAll ? panel?.from && { from: panel.from, to: panel.to } : time;
  const series = useSeries(name, subject, range && { ...range, interval, compare: isAll ? undefined : compare });
  const asTable = query.get('view') === 'table';
  const label = t(name);
  const toggle = () => choose({ view: asTable ? undefined : 'table' }, { replace: true });
  const tools = html`<${Choice} kind="inline" label=${t('interval')} value=${interval}
      options=${possible.map((one) => [one, t(one)])} onChange=${(one) => choose({ interval: one }, { replace: true })} />
    <button type="button" class="quiet" aria-pressed=${String(asTable)} onClick=${toggle}>${t('asTable')}</button>
    ${!asTable && html`<button type="button" class="quiet" aria-label=${t('savePng', { what: label })}
      onClick=${() => exporter.current?.()}>${t('png')}</button>`}
    ${series.csv && html`<${CsvButton} address=${series.csv} name=${name} what=${label} />`}`;
  return html`<${Card} title=${label} tools=${tools} kind="course">
    <div class="course-body">${range
      ? html`<${Of} resource=${series} kind="plot-loading" lines=${1}>${(data) =>
          html`<${Drawn} key=${`${name} ${data.type} ${interval}`} series=${data} name=${name} subject=${subject}
            asTable=${asTable} label=${label} exporter=${exporter} />`}<//>`
      : html`<${Loading} kind="plot-loading" lines=${1} />`}</div>
  <//>`;
}
