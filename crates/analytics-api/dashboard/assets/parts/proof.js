// The last proof: whether the numbers agree with the event log.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { useResource } from '../data.js';
import { count, moment } from '../metrics.js';
import { t } from '../text.js';
import { Card, Empty, Link, Of } from './basics.js';

/** What a proof read of all days. */
export const coverage = (proof) =>
  proof.complete ? t('full') : t('partialProof', { read: count(proof.daysRead), days: count(proof.days) });

/** The drift of the last proof, and when it was made. */
export function Drift() {
  const resource = useResource('api/proofs?limit=1');
  return html`<${Card} title=${t('proofs')}><${Of} resource=${resource} lines=${2} kind="rows">${({ items: [proof] }) => (proof
    ? html`<p class="lead"><${Link} class="big ${proof.drift ? 'bad' : ''}" to="/proofs">${count(proof.drift)}<//>
        <span class="muted">${t('drift')}</span></p>
      <p class="foot">${t('lastProof')}: ${moment(proof.provedAt)} · ${count(proof.keysChecked)} ${t('checked')} · ${coverage(proof)}</p>`
    : html`<${Empty}>${t('noProofs')}<//>`)}<//><//>`;
}
