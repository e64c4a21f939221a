// Products or sellers, ranked by one of their numbers.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource, withQuery } from '../data.js';
import { explanation, NUMBERS, side, typeOf, written } from '../metrics.js';
import { session } from '../session.js';
import { t } from '../text.js';
import { Card, Choice, choose, CsvButton, Empty, Hidden, kept, Link, Of, route, sellerPath } from './basics.js';
import { asked, Num } from './numbers.js';
import './more-style.js';

const BY = ['revenue', 'orders', 'units', 'views', 'conversion', 'rating'];
const FIRST = 8;
const STEP = 50;

/** A name with the id below it, or the id alone. */
const Named = ({ id, name }) =>
  name ? html`<span class="named"><span>${name}</span><small>${id}</small></span>` : html`<span class="named">${id}</span>`;

/**
 * How a product's number is explained to its seller, who may not read the product's own metrics: by
 * the seller's events that are about the product.
 */
function ofOwnProduct(name, product, subject, range) {
  const { quotient } = NUMBERS[name];
  const sides = (quotient ?? [name]).map((part) => ({ ...side(part, { ...subject, kind: 'seller' }, range), product }));
  return { metric: typeOf(name, { kind: 'product', id: product, currency: subject.currency }), sides };
}

/** The rank before: up, down, new or the same. */
function Before({ item }) {
  const { rank, previousRank } = item;
  if (previousRank === null) return html`<span class="muted">${t('newcomer')}</span>`;
  const way = previousRank > rank ? '▲' : previousRank < rank ? '▼' : '=';
  return html`<span class="muted">${previousRank} <span aria-hidden="true">${way}</span></span>`;
}

function Value({ item, by, what, ranking, vendor }) {
  const { unit } = NUMBERS[by];
  // A rank by rating is a weighted mean, which no events sum to.
  if (by === 'rating') return html`<span title=${t('ratingRank')}>${written(item.value, unit)}</span>`;
  const subject = { kind: what === 'products' ? 'product' : 'seller', id: item.id, currency: ranking.currency };
  const range = { from: ranking.from ?? undefined, to: ranking.to ?? undefined, asOf: ranking.asOf };
  const isStaff = session.get().role !== 'seller';
  const how = isStaff
    ? explanation(by, subject, range, item.events)
    : ofOwnProduct(by, item.id, { id: vendor, currency: ranking.currency }, range);
  return html`<${Num} label=${`${t(by)}, ${item.name ?? item.id}`} raw=${item.value} unit=${unit}
    currency=${ranking.currency} explanation=${how} range=${range} />`;
}

function Name({ item, what, query }) {
  const name = html`<${Named} id=${item.id} name=${item.name} />`;
  if (what === 'sellers') return html`<${Link} to=${sellerPath(item.id)} query=${kept(query)}>${name}<//>`;
  if (session.get().role === 'admin') return html`<${Link} to="/events" query=${{ productId: item.id }}>${name}<//>`;
  return name;
}

/** A ranking of `products`, of one `vendor` if it is given, or of `sellers`. `fixed` has no choice. */
export function Ranking({ what, title, vendor, fixed, tools }) {
  const { query } = route.use();
  const [limit, setLimit] = useState(FIRST);
  const parameter = what === 'products' ? 'products' : 'sellers';
  const by = fixed ?? (BY.includes(query.get(parameter)) ? query.get(parameter) : 'revenue');
  const { time, currency } = asked(query);
  const parameters = { by, ...time, currency: by === 'revenue' ? currency : undefined, vendorId: vendor };
  const address = withQuery(`api/rankings/${what}`, { ...parameters, limit });
  const resource = useResource(address);
  const row = (ranking) => (item) => html`<tr key=${item.id}>
    <td class="rank">${item.rank}</td>
    <th scope="row"><${Name} item=${item} what=${what} query=${query} /></th>
    <td class="right"><${Value} item=${item} by=${by} what=${what} ranking=${ranking} vendor=${vendor} /></td>
    <td class="right before"><${Before} item=${item} /></td></tr>`;
  const choice = !fixed && html`<${Choice} kind="inline" label=${t('by')} value=${by}
    options=${BY.map((name) => [name, t(name)])}
    onChange=${(name) => choose({ [parameter]: name === 'revenue' ? undefined : name }, { replace: true })} />`;
  const head = html`${choice}<${CsvButton} what=${title} name=${`${what}-by-${by}`}
    address=${withQuery(`api/rankings/${what}`, { ...parameters, limit: 1000 })} />`;
  return html`<${Card} title=${title} tools=${head} kind="ranking">
    <${Of} resource=${resource} lines=${FIRST} kind="rows">${(ranking) => (ranking.items.length
      ? html`<table class="ranks"><thead><tr><th scope="col" class="rank"><${Hidden}>${t('rank')}<//>#</th>
          <th scope="col">${t(what === 'products' ? 'product' : 'seller')}</th>
          <th scope="col" class="right">${t(by)}</th><th scope="col" class="right before">${t('rankBefore')}</th></tr></thead>
          <tbody>${ranking.items.map(row(ranking))}</tbody></table>
        ${ranking.nextCursor && limit < 1000 && html`<button type="button" class="quiet more"
          onClick=${() => setLimit(Math.min(limit + STEP, 1000))}>${t('more')}</button>`}`
      : html`<${Empty} />`)}<//>
    ${tools}
  <//>`;
}
