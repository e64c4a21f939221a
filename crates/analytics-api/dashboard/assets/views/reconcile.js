// A list of orders, compared with what was counted. The list goes to the API and nowhere else, and the answer is kept
// only as long as the page is open.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { send } from '../data.js';
import { save } from '../files.js';
import { count } from '../metrics.js';
import { base } from '../session.js';
import { t } from '../text.js';
import '../more-text.js';
import { Card, Empty, Link, sellerPath } from '../parts/basics.js';
import '../parts/more-style.js';

/** The most rows that are shown. The file has all. */
const MOST = 500;

/** Calls `each` with the cells of each row of CSV as the API writes it. */
function eachRow(text, each) {
  const cell = /(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r\n|$)/gy;
  let row = [];
  while (cell.lastIndex < text.length) {
    const [, quoted, plain, end] = cell.exec(text);
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === ',') continue;
    each(row);
    row = [];
  }
}

/** The sums of an answer, and its rows that differ from what was counted. */
function read(text) {
  const answer = { sums: [], rows: [], lines: 0, differing: 0 };
  let columns = null;
  eachRow(text, (cells) => {
    if (!columns) {
      columns = cells;
      return;
    }
    const [record, , , verdict] = cells;
    const row = () => Object.fromEntries(columns.map((name, index) => [name, cells[index]]));
    if (record === 'sum' || record === 'total') {
      answer.sums.push(row());
      return;
    }
    if (record === 'line') answer.lines += 1;
    if (verdict === 'counted') return;
    answer.differing += 1;
    if (answer.rows.length < MOST) answer.rows.push(row());
  });
  return answer;
}

function Sums({ sums }) {
  const row = ({ record, verdict, currency, rows, listed, counted, difference }) => html`<tr key=${currency + verdict} data-sum=${verdict || record}
      class=${record === 'total' ? 'total' : ''}>
    <th scope="row">${t(verdict ? `verdict.${verdict}` : 'total')}</th><td>${currency}</td><td class="right">${count(Number(rows))}</td>
    <td class="right">${listed}</td><td class="right">${counted}</td><td class="right">${difference}</td></tr>`;
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${t('sums')}><table><thead><tr>
    <th scope="col">${t('verdict')}</th><th scope="col">${t('currency')}</th><th scope="col" class="right">${t('rows')}</th>
    <th scope="col" class="right">${t('listed')}</th><th scope="col" class="right">${t('counted')}</th><th scope="col" class="right">${t('difference')}</th>
    </tr></thead><tbody>${sums.map(row)}</tbody></table></div>`;
}

/** Writes an amount with its currency; nothing is a dash. */
const amount = (text, currency) => (text ? `${text} ${currency}` : '–');

function Rows({ rows }) {
  const days = ({ listedDay, countedDay }) => (listedDay && countedDay && listedDay !== countedDay ? `${listedDay} → ${countedDay}` : countedDay || listedDay);
  const back = ({ refunded, cancelled }) => [['refunded', refunded], ['cancelled', cancelled]]
    .filter(([, taken]) => Number(taken) > 0).map(([name, taken]) => `${t(`verdict.${name}`)}: ${taken}`).join(', ');
  const row = (one, index) => html`<tr key=${index} data-verdict=${one.verdict}>
    <td class="right">${one.line || '–'}</td><th scope="row" class="id">${one.orderId || one.eventId}</th>
    <td>${t(`verdict.${one.verdict}`)}</td><td class="right">${amount(one.listed, one.currency)}</td>
    <td class="right">${amount(one.counted, one.countedCurrency)}</td><td class="when">${days(one)}</td>
    <td class="detail">${[back(one), one.detail].filter(Boolean).join('; ')}</td></tr>`;
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${t('differing')}><table><thead><tr>
    <th scope="col" class="right">${t('line')}</th><th scope="col">${t('order')}</th><th scope="col">${t('verdict')}</th>
    <th scope="col" class="right">${t('listed')}</th><th scope="col" class="right">${t('counted')}</th>
    <th scope="col">${t('day')}</th><th scope="col">${t('details')}</th></tr></thead><tbody>${rows.map(row)}</tbody></table></div>`;
}

function Answer({ blob, sums, rows, lines, differing }) {
  const csv = html`<button type="button" class="quiet" onClick=${() => save(blob, 'reconciliation.csv')}>${t('saveAnswer')}</button>`;
  return html`<${Card} title=${t('sums')} tools=${csv}><${Sums} sums=${sums} /><p class="foot">${t('sumsNote')}</p><//>
    <${Card} title=${t('differing')}>${rows.length
      ? html`<${Rows} rows=${rows} />${differing > rows.length && html`<p class="foot">${t('notAllShown', { n: rows.length })}</p>`}`
      : html`<${Empty}>${t('allAgree', { n: lines })}<//>`}<//>`;
}

export default function Reconcile({ vendor }) {
  const [state, setState] = useState({ name: '', busy: false, error: '', answer: null });
  const compare = async (file) => {
    if (!file || state.busy) return;
    setState({ name: file.name, busy: true, error: '', answer: null });
    try {
      const address = `${base}/api/sellers/${encodeURIComponent(vendor)}/reconcile`;
      const answer = await send(address, { method: 'POST', body: file, headers: { 'Content-Type': 'text/csv' } });
      const blob = await answer.blob();
      setState({ name: file.name, busy: false, error: '', answer: { blob, ...read(await blob.text()) } });
    } catch (error) {
      setState({ name: file.name, busy: false, error: error.message, answer: null });
    }
  };
  const drop = (event) => {
    event.preventDefault();
    compare(event.dataTransfer.files[0]);
  };
  const choose = (event) => {
    compare(event.target.files[0]);
    // The same file can be chosen again, once it was corrected.
    event.target.value = '';
  };
  const { name, busy, error, answer } = state;
  return html`<div class="head"><h1 tabindex="-1">${t('reconcile')} <small>${vendor}</small></h1><${Link} to=${sellerPath(vendor)}>${t('back')}<//></div>
    <${Card} title=${t('list')}>
      <label class="drop" onDragOver=${(event) => event.preventDefault()} onDrop=${drop}><span>${t('dropList')}</span>
        <input type="file" accept=".csv,text/csv" disabled=${busy} onChange=${choose} /></label>
      <p class="foot">${t('reconcileNote')}</p>
      <p role="status" class=${error ? 'bad' : ''} data-said=${error ? 'bad' : answer ? 'done' : ''}>${error ? `${name}: ${error}` : busy ? t('comparing', { name })
        : answer ? t('comparedLines', { n: answer.lines }) : ''}</p><//>
    ${answer && html`<${Answer} ...${answer} />`}`;
}
