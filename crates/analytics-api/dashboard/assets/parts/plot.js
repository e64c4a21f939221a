// A chart of one series and an earlier one, drawn by uPlot. Full buckets are joined by a line; buckets
// that are not over, or not all counted, are hollow points that no line reaches.

import { html, useEffect, useRef, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { save } from '../api.js';
import { value as written } from '../format.js';
import { t } from '../text.js';

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

/** The present colour of a custom property, which depends on the theme. */
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

/** The columns of the chart: place, full buckets, buckets apart, earlier buckets. */
function columns({ points, before }) {
  const length = Math.max(points.length, before.length);
  const places = Array.from({ length }, (_, index) => index);
  const of = (pick) => places.map((index) => pick(points[index]) ?? null);
  return [
    places,
    of((point) => (point?.shown && !point.apart ? point.value : null)),
    of((point) => (point?.shown && point.apart ? point.value : null)),
    places.map((index) => before[index]?.value ?? null),
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

function options(props, place, width, height, onCursor) {
  const [accent, ink, line, ground] = ['accent', 'muted', 'line', 'card'].map((name) => colour(name, place));
  const font = `12px ${getComputedStyle(place).fontFamily}`;
  const [, full, , before] = columns(props);
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
      { stroke: accent, width: 2, paths: () => null, points: { show: true, size: 9, width: 2, fill: ground } },
      { stroke: ink, width: 1.5, dash: [4, 4], points: { show: true, size: 4, fill: ink, filter: () => alone(before) } },
    ],
    hooks: { setCursor: [(u) => onCursor(u.cursor.idx ?? null)] },
  };
}

/** Saves the chart as it is, with its title above. */
function savePng(plot, place, title, subtitle, name) {
  const scale = devicePixelRatio || 1;
  const head = 64 * scale;
  const source = plot.ctx.canvas;
  const canvas = Object.assign(document.createElement('canvas'), { width: source.width, height: source.height + head });
  const context = canvas.getContext('2d');
  const family = getComputedStyle(place).fontFamily;
  context.fillStyle = colour('card', place);
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, head);
  context.fillStyle = colour('ink', place);
  context.font = `600 ${16 * scale}px ${family}`;
  context.fillText(title, 16 * scale, 28 * scale);
  context.fillStyle = colour('muted', place);
  context.font = `${12 * scale}px ${family}`;
  context.fillText(subtitle, 16 * scale, 48 * scale);
  canvas.toBlob((blob) => blob && save(blob, `${name}.png`));
}

function moved(key, index, last) {
  const at = index ?? (key === 'ArrowLeft' ? last + 1 : -1);
  const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[key];
  return next === undefined ? undefined : Math.min(Math.max(next, 0), last);
}

/**
 * The chart. `points` and `before` are buckets, `labels` the texts of the axis, `describe` says a point
 * in words, `open` shows its events, and `exporter.current` becomes the function that saves it.
 */
export function Plot(props) {
  const { points, before, label, describe, open, exporter, title, subtitle, name } = props;
  const place = useRef();
  const plot = useRef(null);
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
      const made = options(props, place.current, clientWidth, clientHeight, setIndex);
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

  if (exporter) exporter.current = () => plot.current && savePng(plot.current, place.current, title, subtitle, name);
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
