// The event log, newest first, with filters; one event with its payload; and one order.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource, withQuery } from '../data.js';
import { count, moment as writtenMoment } from '../metrics.js';
import { t } from '../text.js';
import '../more-text.js';
import { Card, choose, CsvButton, Empty, Failure, Link, navigate, Of, route } from '../parts/basics.js';
import { Dialog } from '../parts/dialog.js';
import { Filters, moment } from '../parts/filters.js';

const PAGE = 50;
const MOST = 1000;
const TYPES = ['product.viewed', 'order.created', 'rating.updated', 'user.registered', 'metric.adjusted'];

/** What the filters of the address ask for. */
function asked(query) {
  const of = (name) => query.get(name) ?? undefined;
  return {
    type: of('type'),
    productId: of('productId'),
    vendorId: of('vendorId'),
    userId: of('userId'),
    from: moment(of('from')),
    to: moment(of('to'), 1),
  };
}

/** A payload as it was sent, in lines. */
const Payload = ({ value }) => html`<pre class="payload" tabindex="0">${JSON.stringify(value, null, 2)}</pre>`;

function One({ id }) {
  const resource = useResource(`api/events/${encodeURIComponent(id)}`);
  const close = () => choose({ event: undefined });
  return html`<${Dialog} kind="drawer" title=${t('event')} onClose=${close}><${Of} resource=${resource} lines=${8}>${(event) => html`
    <dl class="facts"><div><dt>${t('type')}</dt><dd>${event.eventType}</dd></div><div><dt>${t('id')}</dt><dd><code>${event.id}</code></dd></div>
      <div><dt>${t('happened')}</dt><dd>${writtenMoment(event.createdAt)}</dd></div><div><dt>${t('counted')}</dt><dd>${writtenMoment(event.ingestedAt)}</dd></div>
      <div><dt>${t('user')}</dt><dd class="id">${event.userId ?? '–'}</dd></div></dl>
    <h3>${t('payload')}</h3><${Payload} value=${event.metadata} />`}<//><//>`;
}

function Order({ id }) {
  const { data, error } = useResource(`api/orders/${encodeURIComponent(id)}`);
  const close = html`<button type="button" class="quiet" onClick=${() => choose({ order: undefined })}>${t('close')}</button>`;
  const named = (id, name) => name ? `${name} (${id})` : id ?? '–';
  const line = (line, at) => html`<tr key=${at}><th scope="row">${line.quantity} × ${named(line.productId, line.productName)}</th>
    <td>${named(line.vendorId, line.vendorName)}</td><td>${t(`attribution.${line.attribution}`)}</td></tr>`;
  const metric = ([type, delta]) => html`<tr key=${type}><th scope="row" class="id">${type}</th><td class="right">${typeof delta === 'number' ? count(delta) : JSON.stringify(delta)}</td></tr>`;
  const letter = (letter) => html`<li key=${letter.id}><${Link} to="/dead-letters" query=${{ letter: letter.id }}>${letter.reason}<//>: ${letter.detail}</li>`;
  return html`<${Card} title=${`${t('order')} ${id}`} tools=${close}>${error ? html`<${Failure} error=${error} />` : data && html`
    <p>${t(`order.${data.state}`)}${data.eventId && html` <button type="button" class="link" onClick=${() => choose({ event: data.eventId })}>${writtenMoment(data.createdAt)}</button>`}</p>
    ${data.repeats > 0 && html`<p>${t('orderRepeats', { n: data.repeats })}</p>`}
    ${data.deadLetters.length > 0 && html`<ul>${data.deadLetters.map(letter)}</ul>`}
    ${data.eventId && html`<h3>${t('orderLines')}</h3><table><tbody>${data.lines.map(line)}</tbody></table>
    <h3>${t('orderMetrics')}</h3><table><tbody>${Object.entries(data.metrics).map(metric)}</tbody></table>`}`}<//>`;
}

function FindOrder() {
  const [id, setId] = useState('');
  const submit = (event) => {
    event.preventDefault();
    if (id.trim()) choose({ order: id.trim() });
  };
  return html`<form class="find" role="search" aria-label=${t('orderId')} onSubmit=${submit}><label><span class="visually-hidden">${t('orderId')}</span>
    <input placeholder=${t('orderId')} value=${id} maxlength="255" autocomplete="off" onInput=${(event) => setId(event.target.value)} /></label>
    <button type="submit" class="quiet">${t('find')}</button></form>`;
}

/** What an event is about, in a line. */
function about({ eventType, metadata: payload }) {
  if (!payload || typeof payload !== 'object') return '';
  const inner = payload.payload ?? payload.data ?? payload;
  const known = eventType === 'metric.adjusted' ? ['type', 'delta', 'reason']
    : ['orderId', 'productId', 'vendorId', 'rating', 'stars', 'currency', 'email'];
  return known.filter((name) => ['string', 'number'].includes(typeof inner[name])).map((name) => inner[name]).join(' · ');
}

function Rows({ items }) {
  const row = (event) => html`<tr key=${event.id}><td class="when">${writtenMoment(event.createdAt)}</td>
    <th scope="row"><button type="button" class="link" aria-haspopup="dialog" onClick=${() => choose({ event: event.id })}>${event.eventType}</button></th>
    <td class="id">${event.userId ? html`<${Link} to="/events" query=${{ userId: event.userId }}>${event.userId}<//>` : '–'}</td>
    <td class="about">${about(event)}</td></tr>`;
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${t('events')}><table><thead><tr><th scope="col">${t('happened')}</th><th scope="col">${t('type')}</th>
    <th scope="col">${t('user')}</th><th scope="col">${t('what')}</th></tr></thead><tbody>${items.map(row)}</tbody></table></div>`;
}

export default function Events() {
  const { query } = route.use();
  const parameters = asked(query);
  const limit = Math.min(PAGE * (Number(query.get('pages')) || 1), MOST);
  const resource = useResource(withQuery('api/events', { ...parameters, limit }));
  const more = () => choose({ pages: limit / PAGE + 1 }, { replace: true });
  const older = ({ items }) => navigate('/events', { ...Object.fromEntries(query), pages: undefined, to: items.at(-1).createdAt });
  const fields = [
    { name: 'type', label: t('type'), type: TYPES.map((type) => [type, type]) },
    { name: 'productId', label: t('product'), type: 'text' },
    { name: 'vendorId', label: t('vendor'), type: 'text' },
    { name: 'userId', label: t('user'), type: 'text' },
    { name: 'from', label: t('from'), type: 'date' },
    { name: 'to', label: t('to'), type: 'date' },
  ];
  const csv = html`<${CsvButton} address=${withQuery('api/events', { ...parameters, limit: MOST })} name="events" what=${t('events')} />`;
  const [order, event] = [query.get('order'), query.get('event')];
  return html`<h1 tabindex="-1">${t('events')}</h1>
    <${Filters} key=${JSON.stringify(parameters)} fields=${fields} />
    ${order && html`<${Order} id=${order} key=${order} />`}
    <${Card} title=${t('events')} tools=${html`<${FindOrder} />${csv}`}>
      <${Of} resource=${resource} lines=${12} kind="rows">${(page) => (page.items.length
        ? html`<${Rows} items=${page.items} />${page.nextCursor && html`<button type="button" class="quiet more"
            onClick=${() => (limit < MOST ? more() : older(page))}>${t('more')}</button>`}`
        : html`<${Empty} />`)}<//><//>
    ${event && html`<${One} id=${event} key=${event} />`}`;
}
