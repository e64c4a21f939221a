// A number over time, drawn by uPlot. Full buckets are joined by a line; buckets that are not over, or not
// all counted, are hollow points apart.

import { html, useEffect, useRef, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { freshness, now, useResource } from '../data.js';
import { divided, explanation, moment, NUMBERS, scaleOf, seriesOf, typeOf, written, writtenBucket, writtenRange } from '../metrics.js';
import { config } from '../session.js';
import { t } from '../text.js';
import { Card, Choice, choose, CsvButton, Lazy, Loading, Of, route } from './basics.js';
import { figures, mark, useMarks } from './marks.js';
import { asked, countedUntil, explained, Num } from './numbers.js';

let library = null;

function script(address) {
  return new Promise((done, failed) => {
    const element = document.createElement('script');
    Object.assign(element, { src: address, onload: done, onerror: () => failed(new Error('no uPlot')) });
    document.head.append(element);
  });
}

/** Loads uPlot once. It is not a module, so it is loaded as a script. */
function loaded() {
  library ??= script(new URL('../vendor/uplot-1.6.32/uPlot.iife.min.js', import.meta.url).href);
  return library;
}

function colour(name, place) {
  const probe = document.createElement('span');
  probe.style.color = `var(--${name})`;
  place.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

const isAlone = (values) => (index) =>
  values[index] !== null && (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;

function columns({ points, before }) {
  const length = Math.max(points.length, before.length);
  const places = Array.from({ length }, (_, index) => index);
  const of = (pick) => places.map((index) => pick(points[index]) ?? null);
  return [
    places,
    of((point) => (point?.shown && !point.apart ? point.value : null)),
    of((point) => (point?.shown && point.apart ? point.value : null)),
    // What a bucket that is not over is compared with is cut at the same time.
    ...[false, true].map((cut) => places.map((index) => (Boolean(points[index]?.apart) === cut ? before[index]?.value : null) ?? null)),
  ];
}

function axes({ labels, unit, currency }, ink, line, font) {
  const step = (u) => Math.max(1, Math.ceil(labels.length / Math.max(1, Math.floor(u.width / 88))));
  const ticks = { stroke: line, width: 1, size: 4 };
  const short = (raw) => written(raw, unit, currency, { short: true });
  return [
    {
      stroke: ink, font, gap: 6, size: 32, ticks, grid: { show: false },
      splits: (u) => labels.map((_, index) => index).filter((index) => index % step(u) === 0),
      values: (_, splits) => splits.map((index) => labels[index]),
    },
    {
      stroke: ink, font, gap: 6, size: 64, ticks: { show: false }, grid: { stroke: line, width: 1 }, space: 44,
      incrs: [1, 2, 5].flatMap((digit) => Array.from({ length: 16 }, (_, power) => digit * 10 ** power)).sort((a, b) => a - b),
      values: (_, splits) => splits.map(short),
    },
  ];
}

function options(props, place, width, height, onCursor, shown) {
  const [accent, ink, line, ground, bad] = ['accent', 'muted', 'line', 'card', 'bad'].map((name) => colour(name, place));
  const font = `12px ${getComputedStyle(place).fontFamily}`;
  const [, full, , before] = columns(props);
  const apart = (stroke) => ({ stroke, width: 2, paths: () => null, points: { show: true, size: 9, width: 2, fill: ground } });
  const alone = (values) => values.map((_, index) => index).filter(isAlone(values));
  const most = props.unit === 'stars_x100' ? 500 : undefined;
  return {
    width,
    height,
    padding: [12, 16, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, y: false, points: { size: 8 } },
    scales: {
      x: { time: false, range: (_, from, to) => [Math.min(from, to - 1) - 0.25, to + 0.25] },
      y: { range: (_, least, top) => [Math.min(0, least ?? 0), most ?? Math.max((top ?? 0) * 1.08, Math.min(0, least ?? 0) + 4)] },
    },
    axes: axes(props, ink, line, font),
    series: [
      {},
      { stroke: accent, width: 2, fill: `color-mix(in srgb, ${accent} 9%, transparent)`, points: { show: true, size: 6, fill: accent, filter: () => alone(full) } },
      apart(accent),
      { stroke: ink, width: 1.5, dash: [4, 4], points: { show: true, size: 4, fill: ink, filter: () => alone(before) } },
      apart(ink),
    ],
    hooks: { setCursor: [(u) => onCursor(u.cursor.idx ?? null)], draw: [(u) => mark(u, shown.current, bad)] },
  };
}

function moved(key, index, last) {
  const at = index ?? (key === 'ArrowLeft' ? last + 1 : -1);
  const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[key];
  return next === undefined ? undefined : Math.min(Math.max(next, 0), last);
}

/** The chart. `describe` says a point in words, `open` shows its events, `exporter` gets what saves it. */
export function Plot(props) {
  const { points, before, label, describe, open, exporter, title, subtitle, name } = props;
  const place = useRef();
  const plot = useRef(null);
  const shown = useRef(points);
  shown.current = points;
  const [index, setIndex] = useState(null);
  const [spoken, setSpoken] = useState('');
  const [theme, setTheme] = useState(0);
  const shape = [points.length, before.length, props.unit, props.currency, theme].join();

  useEffect(() => {
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const change = () => setTheme((count) => count + 1);
    scheme.addEventListener('change', change);
    return () => scheme.removeEventListener('change', change);
  }, []);

  useEffect(() => {
    let observer;
    let gone = false;
    loaded().then(() => {
      if (gone) return;
      const { clientWidth, clientHeight } = place.current;
      const made = options(props, place.current, clientWidth, clientHeight, setIndex, shown);
      plot.current = new window.uPlot(made, columns(props), place.current);
      observer = new ResizeObserver(() => {
        const { clientWidth: width, clientHeight: height } = place.current;
        if (width) plot.current?.setSize({ width, height });
      });
      observer.observe(place.current);
    }, () => {});
    return () => {
      gone = true;
      observer?.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => plot.current?.setData(columns(props)));

  if (exporter) exporter.current = async () => plot.current && (await import('./png.js')).default(plot.current, place.current, colour, { title, subtitle, name });
  const last = points.reduce((found, point, at) => (point.shown ? at : found), before.length - 1);

  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Enter' && index !== null) return open(index);
    const next = moved(event.key, index, last);
    if (next === undefined || !plot.current) return;
    event.preventDefault();
    plot.current.setCursor({ left: plot.current.valToPos(next, 'x'), top: 0 });
    setIndex(next);
    setSpoken(describe(next).join(', '));
  };
  const leave = () => plot.current?.setCursor({ left: -10, top: -10 });
  const said = index !== null && (points[index] || before[index]) ? describe(index) : null;
  const left = said && plot.current ? plot.current.valToPos(index, 'x') + plot.current.bbox.left / devicePixelRatio : 0;
  const turned = plot.current && left > plot.current.width / 2;
  return html`<div class="plot" tabindex="0" role="group" aria-roledescription="chart" aria-label=${`${label}. ${t('chartHelp')}`}
      onKeyDown=${onKey} onBlur=${leave} onClick=${() => index !== null && open(index)}>
    <div class="plot-canvas" ref=${place} aria-hidden="true"></div>
    ${said && html`<div class="tip ${turned ? 'turned' : ''}" aria-hidden="true" style=${{ left: `${left}px` }}>${said.map((line, at) => html`<span key=${at}>${line}</span>`)}</div>`}
    <span class="visually-hidden" role="status">${spoken}</span>
  </div>`;
}

const TABLE = () => import('./course-table.js');
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

function suited(long) {
  if (long <= 2 * DAY) return 'hour';
  if (long <= 100 * DAY) return 'day';
  return long <= 731 * DAY ? 'week' : 'month';
}

/** The buckets as they are drawn: which are shown, and which stand apart. */
function drawn(buckets, marks) {
  const until = countedUntil();
  const known = buckets.some((bucket) => bucket.complete);
  return buckets.map((bucket) => ({
    ...bucket,
    shown: Date.parse(bucket.start) < now() && !(Date.parse(bucket.start) >= until && !bucket.value),
    apart: bucket.partial || (known && !bucket.complete),
    anomalies: marks.filter(({ start, end }) => start < Date.parse(bucket.end) && Date.parse(bucket.start) < end),
  }));
}

function quotient(numerators, denominators, scale) {
  return numerators.map((bucket, index) => ({
    ...bucket,
    value: divided(bucket.value, denominators[index]?.value ?? 0, scale),
    events: undefined,
  }));
}

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

const Legend = ({ label, hasMarks }) => html`<p class="legend" aria-hidden="true">
  <span><i class="key full"></i>${label}</span><span><i class="key apart"></i>${t('legendApart')}</span>
  <span><i class="key before"></i>${t('before')}</span>
  ${hasMarks && html`<span><i class="key mark"></i>${t('anomalies')}</span>`}</p>`;

function Nothing() {
  const known = freshness.use();
  return html`<p class="zero" role="note">${known?.countedUpTo
    ? t('allZero', { time: moment(known.countedUpTo) }) : t('allZeroUnknown')}</p>`;
}

function Drawn({ series, name, subject, asTable, label, exporter, marked }) {
  freshness.use();
  const marks = useMarks(name, subject, marked);
  const { unit } = NUMBERS[name];
  const { currency, asOf, interval } = series;
  const points = drawn(series.buckets, marks);
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
  if (asTable) return html`<${Lazy} from=${TABLE} props=${{ rows: points, before, label, show }} />`;
  const describe = (index) => {
    const [point, earlier] = [points[index], before[index]];
    const said = [point ? time(point) : ''];
    if (point?.shown) said.push(written(point.value, unit, currency) + (point.apart ? ` (${t(point.partial ? 'unfinished' : 'uncounted')})` : ''));
    said.push(...(point?.anomalies ?? []).map(figures));
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
    ${isZero && html`<${Nothing} />`}<${Legend} label=${label} hasMarks=${points.some((point) => point.anomalies.length)} />`;
}

/** The card of a number over time. `panel` gives the range of `period=all`; `marked` shows anomalies. */
export function Course({ name, subject, panel, marked = false }) {
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
            asTable=${asTable} label=${label} exporter=${exporter} marked=${marked} />`}<//>`
      : html`<${Loading} kind="plot-loading" lines=${1} />`}</div>
  <//>`;
}
