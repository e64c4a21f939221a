// The last statements of a seller, as a card of its panel.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource, withQuery } from '../data.js';
import { t } from '../text.js';
import { Card, Empty, Link, Of } from './basics.js';
import { latestOf, MONEY, moneyCells, State, statementPath, statementsOf, statementsPath, writtenMonth } from './statement.js';

const SHOWN = 3;
/** How many are read: months may have several versions. */
const READ = 12;

export function LastStatements({ vendor }) {
  const resource = useResource(withQuery(statementsOf(vendor), { limit: READ }));
  const all = html`<${Link} to=${statementsPath(vendor)}>${t('allStatements')}<//>`;
  const row = ({ month, currencies, damaged }) => html`<tr key=${month}><th scope="row"><${Link} to=${statementPath(vendor, month)}>${writtenMonth(month)}<//>
    ${damaged && html` <${State} state="damaged" />`}</th>${moneyCells(currencies)}</tr>`;
  return html`<${Card} title=${t('statements')} tools=${all}><${Of} resource=${resource} lines=${3} kind="rows">${({ items }) => (items.length
    ? html`<div class="scroll" tabindex="0" role="group" aria-label=${t('statements')}><table><thead><tr><th scope="col">${t('month')}</th>
        ${MONEY.map((name) => html`<th scope="col" class="right" key=${name}>${t(`statement.${name}`)}</th>`)}</tr></thead>
        <tbody>${latestOf(items).slice(0, SHOWN).map(row)}</tbody></table></div><p class="foot">${t('notPayout')}</p>`
    : html`<${Empty}>${t('noStatements')}<//>`)}<//><//>`;
}
