// The metrics: their types and units, how numbers and times are written, and the events behind a number.
//
// A number is explained by one or two `sides`. Each side is a list of events, `address`, and a way to
// fold their deltas: `sum`, `rate` or `average`. A quotient has two sides of sums.

import { withQuery } from './data.js';
import { base, config, languages } from './session.js';

/** The numbers of panels by their names in the API: units, and the metrics that they are read from. */
export const NUMBERS = {
  revenue: { unit: 'minor_units', overall: 'total_revenue', seller: 'seller_revenue', product: 'product_revenue' },
  refunds: { unit: 'minor_units', overall: 'total_refunds', seller: 'seller_refunds', product: 'product_refunds' },
  netRevenue: { unit: 'minor_units', overall: 'total_net_revenue', seller: 'seller_net_revenue' },
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
const isMoney = (name) => name.endsWith('evenue') || name === 'refunds';

/** The type of a metric: of the marketplace, or of a seller or a product with an id. */
export function typeOf(name, { kind = 'overall', id, currency } = {}) {
  const known = NUMBERS[name]?.[kind];
  if (!known) return id === undefined ? name : `${name}:${escaped(id)}`;
  const parts = [known];
  if (id !== undefined) parts.push(escaped(id));
  if (isMoney(name) && currency && currency !== config.currency) parts.push(currency);
  return parts.join(':');
}

const unescaped = (text) => text.replaceAll('%3A', ':').replaceAll('%25', '%');

/** What a type is about: `name`, `kind`, `id` and `currency`, as `typeOf` takes them. */
export function subjectOf(type) {
  const [metric, ...parts] = type.split(':');
  if (metric === 'total_conversion') return { name: 'conversion', kind: 'overall' };
  const kinds = ['overall', 'seller', 'product'];
  const name = Object.keys(NUMBERS).find((one) => kinds.some((kind) => NUMBERS[one][kind] === metric));
  if (!name) return { name: metric, kind: 'overall', id: parts.join(':') || undefined };
  const kind = kinds.find((one) => NUMBERS[name][one] === metric);
  const id = kind === 'overall' ? undefined : unescaped(parts.shift() ?? '');
  return { name, kind, id, currency: parts[0] };
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

/** How a number is explained. `subject` has `kind`, `id` and `currency`; `address` is the API's own link. */
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

// How they are written: in the browser's language, and in the timezone of the business.

const formats = new Map();

function format(kind, options) {
  const key = kind.name + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new kind(languages, options));
  return formats.get(key);
}

export const number = (options = {}) => format(Intl.NumberFormat, options);
const time = (options) => format(Intl.DateTimeFormat, { timeZone: config.timezone, ...options });

// The digits of minor units by ISO 4217; all other currencies have two.
const DIGITS = {};
for (const code of 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'.split(' ')) DIGITS[code] = 0;
for (const code of 'BHD IQD JOD KWD LYD OMR TND'.split(' ')) DIGITS[code] = 3;
for (const code of 'CLF UYW'.split(' ')) DIGITS[code] = 4;

/** Writes an amount of minor units; `short` for axes. */
export function money(minor, currency, { short = false, sign = false } = {}) {
  const digits = DIGITS[currency] ?? 2;
  const shown = short
    ? { notation: 'compact', maximumFractionDigits: 1 }
    : { minimumFractionDigits: digits, maximumFractionDigits: digits };
  const signDisplay = sign ? 'exceptZero' : 'auto';
  return number({ style: 'currency', currency: currency ?? config.currency, signDisplay, ...shown }).format(minor / 10 ** digits);
}

export const count = (value, options) => number(options).format(value);

/** Writes a raw value of the API in its unit; nothing is a dash. */
export function written(raw, unit, currency, { short = false, sign = false } = {}) {
  if (raw === null || raw === undefined) return '–';
  const signDisplay = sign ? 'exceptZero' : 'auto';
  const compact = short ? { notation: 'compact', maximumFractionDigits: 1 } : {};
  if (unit === 'minor_units') return money(raw, currency, { short, sign });
  if (unit === 'basis_points') {
    const digits = short ? 0 : 2;
    const shown = { style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: 2, signDisplay };
    return number(shown).format(raw / 10_000);
  }
  if (unit === 'stars_x100') {
    const digits = short ? 1 : 2;
    return number({ minimumFractionDigits: digits, maximumFractionDigits: 2, signDisplay }).format(raw / 100);
  }
  return count(raw, { signDisplay, ...compact });
}

export function writtenChange(basisPoints) {
  const shown = { style: 'percent', maximumFractionDigits: 1, signDisplay: 'exceptZero' };
  return number(shown).format(basisPoints / 10_000);
}

export const clock = (at) => time({ hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(new Date(at));

/** Writes a moment: date and time of day, or, of today, the time of day alone. */
export function moment(at, { short = false } = {}) {
  const day = time({ dateStyle: 'short' });
  if (short && day.format(new Date(at)) === day.format(new Date())) return clock(at);
  return time({ dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(at));
}

/** Writes the days of a range, of which `to` is not part any more. */
export function writtenRange(from, to) {
  const end = new Date(Date.parse(to) - 1);
  return time({ dateStyle: 'medium' }).formatRange(new Date(from), end);
}

/** Writes a bucket; `long` for tables and tooltips, short for axes. */
export function writtenBucket(start, interval, { long = false } = {}) {
  const at = new Date(start);
  const day = long ? { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' } : { day: 'numeric', month: 'short' };
  switch (interval) {
    case 'hour':
      return time({ ...(long ? { day: 'numeric', month: 'short' } : {}), hour: '2-digit', minute: '2-digit' }).format(at);
    case 'month':
      return time({ month: long ? 'long' : 'short', year: 'numeric' }).format(at);
    case 'year':
      return time({ year: 'numeric' }).format(at);
    default:
      return time(day).format(at);
  }
}

/** The year, month, day and hour of a moment on the clock of the business. */
export function local(at) {
  const options = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', hourCycle: 'h23' };
  const parts = new Intl.DateTimeFormat('en-u-ca-gregory-nu-latn', { timeZone: config.timezone, ...options }).formatToParts(at);
  return Object.fromEntries(parts.filter((part) => part.type !== 'literal').map((part) => [part.type, Number(part.value)]));
}

export function date(at) {
  const { year, month, day } = local(at);
  return [String(year).padStart(4, '0'), ...[month, day].map((part) => String(part).padStart(2, '0'))].join('-');
}
