// The events behind a number, newest first, each with what it added and the sum up to it.

import { Component, html, useEffect, useRef, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { get, withQuery } from '../data.js';
import { count, divided, moment, scaleOf, written, writtenRange } from '../metrics.js';
import { session } from '../session.js';
import { t } from '../text.js';
import { Empty, Link, Loading } from './basics.js';
import { Dialog } from './dialog.js';
import { explained } from './numbers.js';

/** How many events are read without being asked for. */
const AT_ONCE = 10_000;
const FIRST_PAGE = 100;
const PAGE = 1000;

/** What an event of a seller added to one of the seller's products. */
function ofProduct(item, { product, name, currency }) {
  const lines = (item.lines ?? []).filter((line) => line.productId === product);
  switch (name) {
    case 'revenue':
      return lines.filter((line) => line.currency === currency).reduce((sum, line) => sum + line.amount, 0);
    case 'units':
      return lines.reduce((sum, line) => sum + line.quantity, 0);
    case 'orders':
      return lines.length ? 1 : 0;
    default:
      return item.productId === product ? item.delta : 0;
  }
}

function itemsOf(answer, side) {
  if (!side.product) return answer.items;
  const own = answer.items.map((item) => ({ ...item, delta: ofProduct(item, side) }));
  return own.filter((item) => item.delta !== 0);
}

// The ways to fold deltas: a sum is [sum], a rate [numerator, denominator], an average [sum, count].
const PARTS = {
  sum: (delta) => [delta],
  rate: ({ numerator, denominator }) => [numerator, denominator],
  average: ({ sum, count: ratings }) => [sum, ratings],
};
const plus = (a, b) => a.map((part, index) => part + b[index]);
const minus = (a, b) => a.map((part, index) => part - b[index]);
const folded = (rows, fold) => rows.map((row) => PARTS[fold](row.delta)).reduce(plus, PARTS[fold]({ numerator: 0, denominator: 0, sum: 0, count: 0 }).map(() => 0));

/** The number that folded parts come to. */
const numberOf = (parts, unit) => (parts.length === 1 ? parts[0] : divided(parts[0], parts[1], scaleOf(unit)));

/** Reads the events of one side, page by page. */
function useEvents(side) {
  const empty = { rows: [], pages: [], next: null, done: false, error: null, loading: true, total: null };
  const [state, setState] = useState(empty);
  const alive = useRef(true);
  const read = async (from, most) => {
    let current = { ...from, loading: true, error: null };
    setState(current);
    try {
      const started = current.rows.length;
      do {
        const page = { limit: current.next ? PAGE : FIRST_PAGE, cursor: current.next };
        const answer = await get(withQuery(side.address, page));
        if (!alive.current) return;
        const { metadata } = answer;
        const total = current.total ?? (metadata && side.fold !== 'sum' ? PARTS[side.fold](metadata) : null);
        const done = !answer.nextCursor;
        const items = itemsOf(answer, side);
        current = { ...current, rows: current.rows.concat(items), pages: [...current.pages, items], next: answer.nextCursor, done, total };
        setState({ ...current, loading: !done });
      } while (!current.done && current.rows.length - started < most);
      setState({ ...current, loading: false });
    } catch (error) {
      if (!alive.current) return;
      // A metric that was never counted has no events.
      const none = error.code === 'metric_not_found' && !current.rows.length;
      setState({ ...current, loading: false, done: none, error: none ? null : error });
    }
  };
  useEffect(() => {
    alive.current = true;
    read(empty, AT_ONCE);
    return () => {
      alive.current = false;
    };
  }, [side.address]);
  return { ...state, more: () => read(state, AT_ONCE), again: () => read(empty, AT_ONCE) };
}

function What({ item }) {
  const parts = [];
  for (const line of item.lines ?? []) {
    parts.push(t('lineItem', { quantity: count(line.quantity), product: line.productId ?? '–' }));
  }
  for (const line of item.reversal?.lines ?? []) {
    parts.push(t('reversedLine', { n: line.units, product: line.productId ?? '–' }));
  }
  if (!parts.length && (item.productId || item.vendorId)) parts.push(item.productId ?? item.vendorId);
  if (item.stars) parts.push(t('stars', { n: item.stars }));
  if (item.replaced) parts.push(t('replaces', { stars: t('stars', { n: item.replaced.stars }) }));
  if (item.reason) parts.push(t('adjusted', { reason: item.reason }));
  if (item.actor) parts.push(t('adjustedBy', { actor: item.actor }));
  const id = session.get()?.role === 'admin'
    ? html`<${Link} to="/events" query=${{ event: item.eventId }}>${item.eventType}<//>` : item.eventType;
  return html`<span class="what" onClick=${(event) => event.target.tagName === 'A' && explained.set(null)}>${id}<small>${parts.join(', ')}</small></span>`;
}

const signed = (raw, side) => written(raw, side.unit, side.currency, { sign: true });

function writtenDelta(delta, side) {
  if (side.fold === 'sum') return signed(delta, side);
  const [above, below] = PARTS[side.fold](delta);
  return `${count(above, { signDisplay: 'exceptZero' })} / ${count(below, { signDisplay: 'exceptZero' })}`;
}

function writtenSum(parts, side) {
  if (!parts) return '…';
  if (side.fold === 'sum') return written(parts[0], side.unit, side.currency);
  return `${count(parts[0])} / ${count(parts[1])} = ${written(numberOf(parts, side.unit), side.unit)}`;
}

const intoView = (row) => row?.scrollIntoView({ block: 'center' });

/** A page of events. It is drawn once, however many pages follow. `total` is the sum up to its first. */
class Page extends Component {
  shouldComponentUpdate({ rows, total }) {
    return rows !== this.props.rows || String(total) !== String(this.props.total);
  }

  render({ rows, total, side }) {
    let left = total;
    return html`<tbody>${rows.map((item) => {
      const sum = left;
      left = left && minus(left, PARTS[side.fold](item.delta));
      const raw = typeof item.delta === 'number' ? item.delta : JSON.stringify(item.delta);
      const isAsked = item.eventId === side.event;
      return html`<tr key=${item.eventId} data-delta=${raw} data-event=${item.eventId} class=${isAsked ? 'asked' : ''} ref=${isAsked ? intoView : undefined}>
        <td class="when">${moment(item.createdAt, { short: true })}</td>
        <td><${What} item=${item} /></td>
        <td class="right">${writtenDelta(item.delta, side)}</td>
        <td class="right muted">${writtenSum(sum, side)}</td></tr>`;
    })}</tbody>`;
  }
}

/** The pages of a list, each with the sum up to its first event: the newest event's is the number. */
function Pages({ pages, side, total }) {
  let left = total;
  return pages.map((rows, index) => {
    const page = html`<${Page} key=${index} rows=${rows} total=${left} side=${side} />`;
    left = left && minus(left, folded(rows, side.fold));
    return page;
  });
}

function Outcome({ events, side, expected }) {
  const { rows, done, loading } = events;
  const sum = folded(rows, side.fold);
  const amount = t('eventCount', { n: rows.length });
  if (!done) return html`<p class="outcome" role="status">${t('sumSoFar', { events: amount, value: writtenSum(sum, side) })}${loading && ' …'}</p>`;
  if (!rows.length) return html`<p class="outcome" role="status">${t('noEvents')}</p>`;
  const number = numberOf(sum, side.unit);
  if (expected !== undefined && number !== expected) {
    return html`<p class="outcome bad" role="alert">${t('differs', { sum: writtenSum(sum, side), value: written(expected, side.unit, side.currency) })}</p>`;
  }
  return html`<p class="outcome good" role="status"><span aria-hidden="true">✓ </span>${t('sumsTo', { events: amount, value: writtenSum(sum, side) })}</p>`;
}

/** One list of events. `expected` is the number that they should come to, where it is known. */
function Side({ side, expected, title, role, onSum }) {
  const events = useEvents(side);
  const { rows, done, error, loading } = events;
  const complete = done ? folded(rows, side.fold) : null;
  useEffect(() => onSum?.(complete?.[0]), [String(complete)]);
  const total = complete ?? events.total ?? (side.fold === 'sum' && expected !== undefined ? [expected] : null);
  return html`<section class="side" data-side=${role} data-sum=${complete && complete.join('/')}>
    ${title && html`<h3>${title}</h3>`}
    <${Outcome} events=${events} side=${side} expected=${expected} />
    ${error && html`<${Problem} error=${error} events=${events} />`}
    ${rows.length > 0 && html`<table class="events"><thead><tr><th scope="col">${t('time')}</th><th scope="col">${t('event')}</th>
      <th scope="col" class="right">${t('delta')}</th><th scope="col" class="right">${t('sum')}</th></tr></thead>
      <${Pages} pages=${events.pages} side=${side} total=${total} /></table>`}
    ${loading && !rows.length && html`<${Loading} lines=${6} />`}
    ${!done && !loading && !error && html`<button type="button" class="more" onClick=${events.more}>${t('loadMore')}</button>`}
  </section>`;
}

function Problem({ error, events }) {
  if (error.code !== 'number_changed') {
    return html`<${Empty} title=${t('failed')}>${error.message} <button type="button" class="quiet" onClick=${events.again}>${t('retry')}</button><//>`;
  }
  const present = () => {
    const spec = explained.get();
    const sides = spec.sides.map((side) => ({ ...side, address: side.address.replace(/([?&])asOf=\d+&?/, '$1') }));
    explained.set({ ...spec, raw: undefined, sides });
  };
  return html`<${Empty}>${t('changed')} <button type="button" class="quiet" onClick=${present}>${t('showPresent')}</button><//>`;
}

/** Both sides of a quotient, once all their events are read. */
function Quotient({ spec, sums: { 0: above, 1: below } }) {
  const { sides, unit, currency, raw } = spec;
  if (above === undefined || below === undefined) return html`<p class="outcome">…</p>`;
  const shown = (value, side) => written(value, side.unit, side.currency);
  const number = divided(above, below, scaleOf(unit));
  const isRight = number === raw;
  return html`<p class="outcome ${isRight ? 'good' : 'bad'}" role="status">${isRight && '✓ '}${t('quotient', {
    numerator: shown(above, sides[0]), denominator: shown(below, sides[1]), value: written(number, unit, currency) })}</p>`;
}

/** The drawer with the events of the number that was activated. */
export default function Explain() {
  const spec = explained.use();
  const [sums, setSums] = useState({});
  if (!spec) return null;
  const { label, raw, unit, currency, sides, range, note } = spec;
  const isQuotient = sides.length === 2;
  const onSum = (index) => (sum) => setSums((known) => ({ ...known, [index]: sum }));
  const title = (index) => isQuotient && t(index ? 'otherSide' : 'oneSide', { what: t(sides[index].name) });
  const head = html`<div class="explained">
    ${raw !== undefined && html`<p class="big">${written(raw, unit, currency)}</p>`}
    <p class="muted">${range.from && html`${writtenRange(range.from, range.to)} · `}${
      range.asOf !== undefined && t('asOf', { asOf: count(range.asOf) })}</p>
    ${note && html`<p class="muted">${note}</p>`}
    ${isQuotient && html`<p class="muted">${t('ofSides', { numerator: t(sides[0].name), denominator: t(sides[1].name) })}.${
      sides[0].name === 'revenue' && ` ${t('mixedCurrencies')}`}</p><${Quotient} spec=${spec} sums=${sums} />`}
  </div>`;
  return html`<${Dialog} key=${sides.map((side) => side.address).join()} kind="drawer" title=${label} head=${head}
    onClose=${() => explained.set(null)}>
    ${sides.map((side, index) => html`<${Side} key=${side.address} side=${side} title=${title(index)}
      role=${isQuotient ? (index ? 'denominator' : 'numerator') : undefined}
      expected=${isQuotient ? undefined : raw} onSum=${isQuotient ? onSum(index) : undefined} />`)}<//>`;
}
