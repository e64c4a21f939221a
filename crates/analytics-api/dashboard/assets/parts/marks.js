// The anomalies of a number over time: which buckets have one, and what to say about it.

import { useResource, withQuery } from '../data.js';
import { moment, NUMBERS, subjectOf, typeOf, written } from '../metrics.js';
import { config } from '../session.js';
import { t } from '../text.js';

/** The newest anomalies of a number that are marked. */
const MOST = 100;

/** What was observed, and what was expected. */
export function figures({ type, verdict, observed, expected, from }) {
  if (type === 'freshness') return t(`freshness.${verdict}`, { time: moment(from) });
  const { name, currency } = subjectOf(type);
  const unit = NUMBERS[name]?.unit;
  const shown = (value) => written(Math.round(value), unit, currency ?? config.currency);
  return t('instead', { verdict: t(`verdict.${verdict}`), observed: shown(observed), expected: shown(expected) });
}

/** The type under which the anomalies of a number are stored; null where it is not judged. */
function judgedType(name, subject) {
  if (name === 'conversion' && subject.kind === 'overall') return 'total_conversion';
  const isJudged = ['views', 'orders', 'revenue'].includes(name) || (name === 'signups' && subject.kind === 'overall');
  return isJudged ? typeOf(name, subject) : null;
}

/** The anomalies of a number, each with its start and its end in milliseconds. */
export function useMarks(name, subject, wanted) {
  const type = wanted && judgedType(name, subject);
  const { data } = useResource(type && withQuery('api/anomalies', { type, limit: MOST }));
  return (data?.items ?? []).map((anomaly) => ({ ...anomaly, start: Date.parse(anomaly.from), end: Date.parse(anomaly.to) }));
}

/** Marks buckets with anomalies: a triangle at the lower edge of a plot, and a line up to the upper one. */
export function mark(u, points, ink) {
  const { top, height } = u.bbox;
  const size = 6 * devicePixelRatio;
  u.ctx.save();
  Object.assign(u.ctx, { fillStyle: ink, strokeStyle: ink, lineWidth: devicePixelRatio });
  points.forEach((point, index) => {
    if (!point.anomalies.length) return;
    const x = u.valToPos(index, 'x', true);
    u.ctx.globalAlpha = 0.4;
    u.ctx.beginPath();
    u.ctx.moveTo(x, top);
    u.ctx.lineTo(x, top + height);
    u.ctx.stroke();
    u.ctx.globalAlpha = 1;
    u.ctx.beginPath();
    u.ctx.moveTo(x - size, top + height);
    u.ctx.lineTo(x + size, top + height);
    u.ctx.lineTo(x, top + height - 1.5 * size);
    u.ctx.fill();
  });
  u.ctx.restore();
}
