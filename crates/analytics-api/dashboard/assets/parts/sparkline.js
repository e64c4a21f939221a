// The course of a number in small. Buckets that are not over, or not all counted, are a point apart.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { now } from '../api.js';
import { local } from '../format.js';
import { freshness } from '../live.js';

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
