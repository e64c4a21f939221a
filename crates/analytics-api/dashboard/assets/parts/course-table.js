// A number over time as a table.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { t } from '../text.js';
import { figures } from './marks.js';
import './more-style.js';

/** The rows of the buckets, beside those before; `show` writes the time and the number of one. */
export default function Table({ rows, label, show, before }) {
  const state = (point) => (point.partial ? t('unfinished') : point.apart ? t('uncounted') : '');
  const note = (point) => [state(point), ...point.anomalies.map(figures)].filter(Boolean).join(', ');
  const line = (point, index) => html`<tr key=${point.start}>
    <th scope="row">${show.time(point)}</th>
    <td class="right">${point.shown ? show.number(point) : '–'}</td>
    <td class="right muted">${before[index] ? show.number(before[index]) : '–'}</td>
    <td class="muted">${point.shown && note(point)}</td></tr>`;
  return html`<div class="scroll tall" tabindex="0" role="group" aria-label=${label}><table>
    <thead><tr><th scope="col">${t('time')}</th><th scope="col" class="right">${label}</th>
      <th scope="col" class="right">${t('before')}</th><th scope="col"><span class="visually-hidden">${t('state')}</span></th></tr></thead>
    <tbody>${rows.map(line)}</tbody></table></div>`;
}
