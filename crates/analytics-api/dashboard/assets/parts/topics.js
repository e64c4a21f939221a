// The freshness of each topic.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { freshness } from '../data.js';
import { count, moment } from '../metrics.js';
import { t } from '../text.js';
import { Empty } from './basics.js';
import { Dialog } from './dialog.js';

/** The freshness of each topic. */
export function TopicTable() {
  const known = freshness.use();
  if (!known?.topics?.length) return html`<${Empty} />`;
  const row = (topic) => html`<tr key=${topic.topic}>
    <th scope="row" class="id">${topic.topic}</th>
    <td><span class="state ${topic.state}"><span class="dot" aria-hidden="true"></span>${t(topic.state)}</span>
      ${topic.reason && html`<small class="why">${topic.reason}</small>`}</td>
    <td class="right">${topic.countedUpTo ? moment(topic.countedUpTo, { short: true }) : t('never')}</td>
    <td class="right">${count(topic.lagMessages)}</td>
    <td class="right">${topic.lastEventTime ? moment(topic.lastEventTime, { short: true }) : t('never')}</td></tr>`;
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${t('freshness')}><table>
    <thead><tr><th scope="col">${t('topic')}</th><th scope="col">${t('state')}</th>
      <th scope="col" class="right">${t('countedUpTo')}</th><th scope="col" class="right">${t('waiting')}</th>
      <th scope="col" class="right">${t('lastEvent')}</th></tr></thead>
    <tbody>${known.topics.map(row)}</tbody></table></div>`;
}

/** The same in a dialog. */
export default function Topics({ onClose }) {
  return html`<${Dialog} title=${t('freshness')} onClose=${onClose}><${TopicTable} /><//>`;
}
