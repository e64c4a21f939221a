// The metrics: their types, their units, and the events that each number is made of.
//
// A number is explained by one or two `sides`. Each side is a list of events, `address`, and a way to
// fold their deltas: `sum`, `rate` or `average`. A quotient has two sides of sums.

import { withQuery } from './data.js';
import { base, config } from './session.js';

/** The numbers of panels by their names in the API: units, and the metrics that they are read from. */
export const NUMBERS = {
  revenue: { unit: 'minor_units', overall: 'total_revenue', seller: 'seller_revenue', product: 'product_revenue' },
  orders: { unit: 'orders', overall: 'total_orders', seller: 'seller_orders', product: 'product_orders' },
  units: { unit: 'units', overall: 'total_units', seller: 'seller_units', product: 'product_units' },
  views: { unit: 'views', overall: 'total_views', seller: 'seller_views', product: 'product_views' },
  signups: { unit: 'users', overall: 'total_signups' },
  conversion: { unit: 'basis_points', seller: 'conversion_rate', quotient: ['orders', 'views'] },
  averageOrder: { unit: 'minor_units', quotient: ['revenue', 'orders'] },
  rating: { unit: 'stars_x100', seller: 'seller_rating' },
  unattributedRevenue: { unit: 'minor_units', overall: 'unattributed_revenue' },
};

const escaped = (id) => id.replaceAll('%', '%25').replaceAll(':', '%3A');
const isMoney = (name) => name.endsWith('evenue');

/** The type of a metric: of the marketplace, or of a seller or a product with an id. */
export function typeOf(name, { kind = 'overall', id, currency } = {}) {
  const known = NUMBERS[name]?.[kind];
  if (!known) return id === undefined ? name : `${name}:${escaped(id)}`;
  const parts = [known];
  if (id !== undefined) parts.push(escaped(id));
  if (isMoney(name) && currency && currency !== config.currency) parts.push(currency);
  return parts.join(':');
}

export function eventsOf(type, { from, to, asOf }) {
  return withQuery(`${base}/api/metrics/${encodeURIComponent(type)}/events`, { from, to, asOf });
}

export const seriesOf = (type, query) =>
  withQuery(`${base}/api/metrics/${encodeURIComponent(type)}/series`, query);

const FOLDS = { basis_points: 'rate', stars_x100: 'average' };

/** The one side of a metric that is kept. */
export function side(name, subject, range, address) {
  const type = typeOf(name, subject);
  const { unit } = NUMBERS[name];
  return { name, type, unit, currency: subject.currency ?? config.currency, fold: FOLDS[unit] ?? 'sum', address: address ?? eventsOf(type, range) };
}

/**
 * How a number of a panel is explained: its `metric` type and its `sides`. `subject` is what it is of
 * (`kind`, `id`, `currency`), `range` has `from`, `to` and `asOf`, and `address` is the API's own link.
 */
export function explanation(name, subject, range, address) {
  const { quotient } = NUMBERS[name];
  const isKept = Boolean(NUMBERS[name][subject.kind]);
  const sides = isKept
    ? [side(name, subject, range, address)]
    : quotient.map((part) => side(part, subject, range));
  return { metric: typeOf(name, subject), sides };
}

/** Divides and rounds half up, as the API does; null without a denominator. */
export function divided(numerator, denominator, scale) {
  return denominator ? Math.floor((numerator * scale * 2 + denominator) / (denominator * 2)) : null;
}

export const scaleOf = (unit) => ({ basis_points: 10_000, stars_x100: 100 })[unit] ?? 1;
