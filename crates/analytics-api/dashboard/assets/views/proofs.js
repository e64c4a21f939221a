// The proofs: every run that recounted the numbers from the event log.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource } from '../data.js';
import { count, moment, number } from '../metrics.js';
import { t } from '../text.js';
import { Card, choose, CsvButton, Empty, Of, route } from '../parts/basics.js';
import { coverage } from '../parts/proof.js';
import '../parts/more-style.js';

/** Writes how long something took. */
function seconds(milliseconds) {
  const shown = { style: 'unit', unit: 'second', maximumFractionDigits: 1 };
  return number(shown).format(milliseconds / 1000);
}

function Differences({ proof }) {
  if (!proof.differences?.length) return null;
  const row = (difference, index) => html`<tr key=${index}><td>${difference.kind}</td><td class="id">${difference.key}</td>
    <td class="right">${JSON.stringify(difference.found)}</td><td class="right">${JSON.stringify(difference.expected)}</td></tr>`;
  return html`<details open><summary>${t('differences')}</summary><div class="scroll" tabindex="0" role="group" aria-label=${t('differences')}><table><tbody>${proof.differences.map(row)}</tbody></table></div></details>`;
}

const Fact = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;

function Latest({ proof }) {
  return html`<${Card} title=${t('lastProof')}>
    <p class="lead"><span class="big ${proof.drift ? 'bad' : ''}">${count(proof.drift)}</span>
      <span class="muted">${proof.drift ? t('proofBad', { n: proof.drift }) : t('proofFine')}</span></p>
    <dl class="facts"><${Fact} name=${t('time')}>${moment(proof.provedAt)}<//><${Fact} name=${t('coverage')}>${coverage(proof)}<//>
      <${Fact} name=${t('checked')}>${count(proof.keysChecked)}<//><${Fact} name=${t('eventsRead')}>${count(proof.eventsRead)}<//>
      <${Fact} name=${t('took')}>${seconds(proof.tookMs)}<//><${Fact} name=${t('digest')}><code>${proof.digest}</code><//></dl>
    <${Differences} proof=${proof} /><//>`;
}

export default function Proofs() {
  const { query } = route.use();
  const limit = Math.min(Math.max(Number(query.get('limit')) || 20, 1), 1000);
  const resource = useResource(`api/proofs?limit=${limit}`);
  const row = (proof) => html`<tr key=${proof.id}><th scope="row">${moment(proof.provedAt)}</th>
    <td class="right ${proof.drift ? 'bad' : ''}">${count(proof.drift)}</td><td>${coverage(proof)}</td>
    <td class="right">${count(proof.keysChecked)}</td><td class="right">${count(proof.eventsRead)}</td>
    <td class="right">${seconds(proof.tookMs)}</td><td><code>${proof.digest.slice(0, 8)}</code></td></tr>`;
  const csv = html`<${CsvButton} address="api/proofs?limit=1000" name="proofs" what=${t('proofs')} />`;
  const head = ['time', 'drift', 'coverage', 'checked', 'eventsRead', 'took', 'digest'];
  const right = ['drift', 'checked', 'eventsRead', 'took'];
  return html`<h1 tabindex="-1">${t('proofs')}</h1><p class="muted">${t('proofsNote')}</p>
    <${Of} resource=${resource} lines=${6} kind="card rows">${({ items, nextCursor }) => (items.length
      ? html`<${Latest} proof=${items[0]} /><${Card} title=${t('proofs')} tools=${csv}><div class="scroll" tabindex="0" role="group" aria-label=${t('proofs')}><table>
          <thead><tr>${head.map((name) => html`<th scope="col" key=${name} class=${right.includes(name) ? 'right' : ''}>${t(name)}</th>`)}</tr></thead>
          <tbody>${items.map(row)}</tbody></table></div>
          ${nextCursor && html`<button type="button" class="quiet more" onClick=${() => choose({ limit: limit + 100 }, { replace: true })}>${t('more')}</button>`}<//>`
      : html`<${Empty}>${t('noProofs')}<//>`)}<//>`;
}
