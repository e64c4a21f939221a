// How fresh the numbers are: in a word at the top, in a sentence when they lag, and by topic.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { away } from '../api.js';
import { clock, count, moment } from '../format.js';
import { freshness, mode, pause } from '../live.js';
import { oldestShown } from '../resources.js';
import { ending, session } from '../session.js';
import { t } from '../text.js';
import { Dialog, Empty } from './basics.js';

function words(state, known, isAway) {
  if (isAway) return t('noAnswer');
  if (state === 'live' || !known.countedUpTo) return t(state);
  return t(`${state}.until`, { time: moment(known.countedUpTo, { short: true }) });
}

/** The state in a word or two; it opens the table of topics. */
export function FreshnessChip() {
  const known = freshness.use();
  const isAway = away.use() !== null;
  const [open, setOpen] = useState(false);
  const state = isAway ? 'stalled' : known?.state;
  if (!state) return html`<span class="chip">${t('checking')}</span>`;
  return html`<button type="button" class="chip" data-freshness=${state} aria-haspopup="dialog"
      onClick=${() => setOpen(true)}><span class="dot" aria-hidden="true"></span>${words(state, known, isAway)}</button>
    ${open && html`<${Dialog} title=${t('freshness')} onClose=${() => setOpen(false)}><${TopicTable} /><//>`}`;
}

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

/** Stops the news, or lets them in again. */
export function PauseButton() {
  const paused = mode.use() === 'paused';
  return html`<button type="button" class="quiet" onClick=${pause} aria-pressed=${String(paused)}
    title=${t(paused ? 'resumeTitle' : 'pauseTitle')}>${t(paused ? 'resume' : 'pause')}</button>`;
}

function sentence(known, since, person, isEnding, current) {
  const shown = oldestShown();
  const dated = { shown: shown ? moment(shown) : t('never') };
  if (person?.state === 'ended') return ['bad', t('endedBanner', dated)];
  if (person?.state === 'refused') return ['bad', t('refusedBanner', dated)];
  if (since) return ['bad', t(shown ? 'away' : 'awayEmpty', { time: moment(since), ...dated })];
  if (current === 'paused') return ['note', t('paused', { time: dated.shown })];
  if (isEnding && person?.expiresAt) return ['warn', t('endingBanner', { time: clock(person.expiresAt) })];
  if (known && known.state !== 'live') {
    const key = known.state + (known.countedUpTo ? 'Banner' : 'Unknown');
    return ['warn', t(key, { time: known.countedUpTo && moment(known.countedUpTo) })];
  }
  return null;
}

/** A sentence at the top, where something keeps the numbers from being up to date. */
export function Banner({ action }) {
  const [known, since, person, isEnding, current] =
    [freshness.use(), away.use(), session.use(), ending.use(), mode.use()];
  const said = sentence(known, since, person, isEnding, current);
  return html`<div class="banner-place" role="status" aria-live="polite">${said
    && html`<p class="banner ${said[0]}">${said[1]} ${['ended', 'refused'].includes(person?.state) && action}</p>`}</div>`;
}
