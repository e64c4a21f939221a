// The statement of a seller's month: its days, what it restates, how sure it is, and what proves that nobody changed it.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource, withQuery } from '../data.js';
import { count, date, explanation, moment, money, side, writtenBucket, written } from '../metrics.js';
import { session } from '../session.js';
import { t } from '../text.js';
import { Card, Choice, choose, CsvButton, Empty, Link, Of, route } from '../parts/basics.js';
import { moment as startOf } from '../parts/filters.js';
import { explained, Num } from '../parts/numbers.js';
import { Stars } from '../parts/panels.js';
import { daysOf, Short, statementPath, statementsOf, statementsPath, writtenMonth } from '../parts/statement.js';

const COLUMNS = ['orders', 'units', 'gross', 'refunds', 'adjustments', 'net'];
/** The most late events that are shown. The CSV has all. */
const MOST = 500;

const Fact = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;

/** A currency, day by day. Net leads to its events: to those that the statement includes. */
function Days({ statement, sums }) {
  const { currency, lines } = sums;
  const subject = { kind: 'seller', id: statement.vendorId, currency };
  const net = (raw, { from, to }, what) => {
    const range = { from: startOf(from), to: startOf(to, 1), asOf: statement.asOf };
    return html`<${Num} label=${`${t('statement.net')}, ${what}`} raw=${raw} unit="minor_units" currency=${currency} range=${range}
      explanation=${explanation('netRevenue', subject, range)} />`;
  };
  const cells = (figures, days, what) => COLUMNS.map((name) => {
    const raw = figures[name];
    const shown = name === 'net' ? net(raw, days, what) : name === 'orders' || name === 'units' ? count(raw) : money(raw, currency);
    return html`<td class="right" key=${name} data-value=${raw}>${shown}</td>`;
  });
  const row = (line) => {
    const day = writtenBucket(startOf(line.day), 'day', { long: true });
    return html`<tr key=${line.day} data-day=${line.day}><th scope="row">${day}</th>${cells(line, { from: line.day, to: line.day }, day)}</tr>`;
  };
  return html`<${Card} title=${currency}>
    <p class="lead"><span class="big">${money(sums.net, currency)}</span> <span class="muted">${t('statement.net')}</span></p>
    <div class="scroll" tabindex="0" role="group" aria-label=${currency}><table data-currency=${currency}><thead><tr><th scope="col">${t('day')}</th>
      ${COLUMNS.map((name) => html`<th scope="col" class="right" key=${name}>${t(`statement.${name}`)}</th>`)}</tr></thead>
      <tbody>${lines.map(row)}<tr class="total" data-day="sum"><th scope="row">${t('total')}</th>${cells(sums, daysOf(statement.month), writtenMonth(statement.month))}</tr></tbody></table></div><//>`;
}

/** Opens what the events of a day came to, with one of them marked: a seller reads no event apart from its numbers. */
function showEvent(vendor, { id, occurredAt, currency }) {
  const day = date(Date.parse(occurredAt));
  const range = { from: startOf(day), to: startOf(day, 1) };
  const net = side('netRevenue', { kind: 'seller', id: vendor, currency }, range);
  explained.set({ label: t('netRevenue'), unit: net.unit, currency, metric: net.type, sides: [{ ...net, event: id }], range });
}

function Event({ vendor, late }) {
  const { id, type } = late;
  if (!id) return html`<span title=${t('correctionNote')}>${t('correction')}</span>`;
  if (session.get()?.role === 'admin') return html`<${Link} to="/events" query=${{ event: id }}>${type}<//>`;
  return html`<button type="button" class="link" aria-haspopup="dialog" onClick=${() => showEvent(vendor, late)}>${type}</button>`;
}

/** What arrived after the version before was closed. */
function Restatement({ statement }) {
  const { vendorId, version, restatement: { of, events } } = statement;
  const arrived = new Set(events.map(({ id }) => id).filter(Boolean)).size;
  const sums = new Map();
  for (const { currency, delta } of events) sums.set(currency, (sums.get(currency) ?? 0) + delta);
  const row = (late, index) => html`<tr key=${index} data-event=${late.id ?? ''} data-delta=${late.delta}>
    <th scope="row"><${Event} vendor=${vendorId} late=${late} /></th><td class="when">${moment(late.occurredAt)}</td>
    <td class="right">${money(late.delta, late.currency, { sign: true })}</td><td>${late.currency}</td></tr>`;
  const sum = ([currency, delta]) => html`<tr class="total" key=${currency} data-change=${currency}><th scope="row">${t('total')}</th><td></td>
    <td class="right">${money(delta, currency, { sign: true })}</td><td>${currency}</td></tr>`;
  return html`<${Card} title=${t('restatement')} kind="restatement">
    <p>${t(arrived ? 'restates' : 'restatesCorrected', { n: arrived, version, of })} ${events.some(({ id }) => !id) && t('correctionNote')}
      ${' '}<${Link} to=${statementPath(vendorId, statement.month)} query=${{ version: of }}>${t('showVersion', { version: of })}<//></p>
    <div class="scroll" tabindex="0" role="group" aria-label=${t('restatement')}><table><thead><tr><th scope="col">${t('event')}</th>
      <th scope="col">${t('happened')}</th><th scope="col" class="right">${t('changeOfNet')}</th><th scope="col">${t('currency')}</th></tr></thead>
      <tbody>${events.slice(0, MOST).map(row)}${[...sums].sort().map(sum)}</tbody></table></div>
    ${events.length > MOST && html`<p class="foot">${t('notAllLate', { n: MOST })}</p>`}<//>`;
}

/** Conversion and the ratings that were received. Older statements have neither. */
function Rates({ statement: { conversion, ratings } }) {
  if (!conversion || !ratings) return null;
  const number = (name, raw, unit) => html`<span data-rate=${name} data-value=${raw}>${written(raw, unit)}</span>`;
  return html`<${Card} title=${t('rates')}>
    <dl class="facts"><${Fact} name=${t('conversion')}>${number('conversion', conversion.value, 'basis_points')}<//>
      <${Fact} name=${t('orders')}>${number('orders', conversion.orders)}<//>
      <${Fact} name=${t('views')}>${number('views', conversion.views)}<//>
      <${Fact} name=${t('rating')}>${number('rating', ratings.value, 'stars_x100')}<//>
      <${Fact} name=${t('ratingsReceived')}>${number('count', ratings.count)}<//>
      <${Fact} name=${t('sumOfStars')}>${number('sum', ratings.sum)}<//></dl>
    <${Stars} histogram=${ratings.histogram} />
    <p class="foot">${t('ratesNote')}</p><//>`;
}

/** What the numbers rely on. */
function Certainty({ statement }) {
  const { asOf, provedAsOf, openDeadLetters, rulesVersion, gaps } = statement;
  return html`<${Card} title=${t('certainty')}>
    ${gaps.length > 0 && html`<p class="bad">${t('gapsNote')}</p><ul class="gaps">${gaps.map((gap) => html`<li key=${gap}>${gap}</li>`)}</ul>`}
    <dl class="facts"><${Fact} name=${t('includes')}>${t('upToBatch', { number: count(asOf) })}<//>
      <${Fact} name=${t('provedUpTo')}>${provedAsOf === null ? t('none') : t('upToBatch', { number: count(provedAsOf) })}<//>
      <${Fact} name=${t('openLetters')}>${count(openDeadLetters)}<//><${Fact} name=${t('rulesVersion')}>${rulesVersion}<//></dl><//>`;
}

const SEALS = ['digest', 'previousDigest', 'signature', 'key', 'eventsDigest'];

/** What proves that nothing was changed since. */
const Seals = ({ statement }) => html`<${Card} title=${t('seals')}>
  <dl class="facts">${SEALS.map((name) => html`<${Fact} key=${name} name=${t(`seal.${name}`)}><span data-seal=${name}>
    <${Short} value=${statement[name]} what=${t(`seal.${name}`)} /></span><//>`)}</dl>
  <p class="foot">${t('sealsNote')}</p><//>`;

function Whole({ statement, latest }) {
  const { vendorId, month, version, timezone, closedAt, currencies, restatement } = statement;
  const own = `${statementsOf(vendorId)}/${month}`;
  const name = `statement-${month}-${version}`;
  const versions = Array.from({ length: latest }, (_, index) => latest - index);
  const savePage = () => import('../files.js').then((files) => files.savePage(withQuery(`${own}/page`, { version }), name)).catch(() => {});
  return html`<div class="toolbar"><${Choice} label=${t('version')} value=${String(version)}
        options=${versions.map((one) => [String(one), one === latest ? t('latestVersion', { version: one }) : String(one)])}
        onChange=${(one) => choose({ version: Number(one) === latest ? undefined : one })} />
      <span class="tools"><${CsvButton} address=${withQuery(own, { version })} name=${name} what=${writtenMonth(month)} />
        <button type="button" class="quiet" title=${t('printableTitle')} onClick=${savePage}>${t('printable')}</button></span></div>
    <p data-version=${version}>${t('statementOf', { version, time: moment(closedAt), timezone })} <span class="muted">${t('notPayout')}</span></p>
    ${version < latest && html`<p class="replaced">${t('replaced', { version, latest })} <${Link} to=${statementPath(vendorId, month)}>${t('showVersion', { version: latest })}<//></p>`}
    ${restatement && html`<${Restatement} statement=${statement} />`}
    ${currencies.length ? currencies.map((sums) => html`<${Days} key=${sums.currency} statement=${statement} sums=${sums} />`) : html`<${Empty}>${t('nothingInMonth')}<//>`}
    <${Rates} statement=${statement} />
    <div class="grid"><${Certainty} statement=${statement} /><${Seals} statement=${statement} /></div>`;
}

export default function Statement({ vendor, month }) {
  const { query } = route.use();
  const version = query.get('version');
  const own = `${statementsOf(vendor)}/${month}`;
  const latest = useResource(own);
  const older = useResource(version && withQuery(own, { version }));
  const resource = version ? older : latest;
  const isMissing = resource.data === null && resource.error?.code === 'statement_not_found';
  return html`<div class="head"><h1 tabindex="-1">${writtenMonth(month)} <small>${vendor}</small></h1>
      <${Link} to=${statementsPath(vendor)}>${t('allStatements')}<//></div>
    ${isMissing ? html`<${Empty}>${t('noStatement')}<//>`
      : html`<${Of} resource=${resource} lines=${10} kind="card rows">${(statement) => html`
        <${Whole} statement=${statement} latest=${Math.max(statement.version, latest.data?.version ?? 0)} />`}<//>`}`;
}
