// What pages of statements and of months have in common: their addresses, states, amounts in several currencies, and
// long values that are shown short.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { money, writtenBucket } from '../metrics.js';
import { base } from '../session.js';
import { t } from '../text.js';
import '../more-text.js';
import { sellerPath } from './basics.js';
import './more-style.js';

export const MONEY = ['gross', 'refunds', 'net'];

/** The API's address of a seller's statements, and the page's. */
export const statementsOf = (vendor) => `${base}/api/sellers/${encodeURIComponent(vendor)}/statements`;
export const statementsPath = (vendor) => `${sellerPath(vendor)}/statements`;
export const statementPath = (vendor, month) => `${statementsPath(vendor)}/${month}`;

/** Writes a month such as `2026-10`. Its middle is in the month in every timezone. */
export const writtenMonth = (month) => writtenBucket(`${month}-15T12:00:00Z`, 'month', { long: true });

/** The first and the last day of a month. */
export function daysOf(month) {
  const [year, number] = month.split('-').map(Number);
  const last = new Date(Date.UTC(year, number, 0)).getUTCDate();
  return { from: `${month}-01`, to: `${month}-${last}` };
}

/** The latest statement of each month, the last month first. Of a month, the API lists the latest version first. */
export function latestOf(items) {
  const months = new Map();
  for (const head of items) if (!months.has(head.month)) months.set(head.month, head);
  return [...months.values()].sort((a, b) => (a.month < b.month ? 1 : -1));
}

/** A state in words, with a dot. */
export const State = ({ state }) =>
  html`<span class="state ${state}"><span class="dot" aria-hidden="true"></span>${t(`month.${state}`)}</span>`;

/** One amount of each currency, below each other. `draw` writes the amount of an item with a `currency`. */
export function Amounts({ items, draw }) {
  if (!items.length) return '–';
  return html`<ul class="amounts">${items.map((item) => html`<li key=${item.currency}>${draw(item)}</li>`)}</ul>`;
}

/** The cells of gross, refunds and net, each with all currencies. */
export const moneyCells = (currencies) => MONEY.map((name) => html`<td class="right" key=${name}>
  <${Amounts} items=${currencies} draw=${(one) => html`<data value=${one[name]}>${money(one[name], one.currency)}</data>`} /></td>`);

/** A long value: its beginning, and the whole of it on hover, on paper, and as a copy. */
export function Short({ value, what }) {
  const [copied, setCopied] = useState(null);
  if (!value) return html`<span class="muted">${t('none')}</span>`;
  // Without HTTPS there is no clipboard: the whole value is shown, to be copied by hand.
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(value);
      setCopied(true);
    } catch {
      setCopied(false);
    }
  };
  return html`<span class="short ${copied === false ? 'open' : ''}"><code title=${value}><span class="brief" aria-hidden="true">${value.slice(0, 12)}…</span
    ><span class="whole">${value}</span></code>
    <button type="button" class="link" aria-label=${t('copyWhat', { what })} onClick=${copy}>${t(copied ? 'copied' : 'copy')}</button>
    <span class="visually-hidden" role="status">${copied && t('copied')}</span></span>`;
}
