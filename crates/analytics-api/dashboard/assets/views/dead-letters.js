// Records that could not be counted: read, and in read-write mode replayed or discarded.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { refresh, send, useResource, withQuery } from '../data.js';
import { count, moment as writtenMoment, number } from '../metrics.js';
import { config } from '../session.js';
import { t } from '../text.js';
import { Card, choose, CsvButton, Empty, Of, route } from '../parts/basics.js';
import { Dialog } from '../parts/dialog.js';
import { Filters, moment } from '../parts/filters.js';

const PAGE = 50;
const MOST = 1000;
/** The most letters in one request. */
const MOST_AT_ONCE = 500;
const STATES = ['open', 'replayed', 'discarded'];
const REASONS = ['empty', 'too_large', 'not_json', 'not_an_object', 'unstorable', 'missing_field', 'invalid_identifier',
  'invalid_amount', 'invalid_rating', 'invalid_timestamp', 'identity_conflict'];

/** Writes a size. */
const bytes = (size) => number({ style: 'unit', unit: 'byte', notation: 'compact', unitDisplay: 'narrow' }).format(size);

/** Sends a write with a body, or without one. */
async function write(method, address, body) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return (await send(address, { method, body: text })).json();
}

/** The results of replays and discards in words. */
function outcome(items) {
  const counts = new Map();
  for (const { result } of items) counts.set(result, (counts.get(result) ?? 0) + 1);
  const words = [...counts].map(([result, number]) => `${count(number)} ${t(`result.${result}`)}`);
  const detail = items.length === 1 && items[0].detail ? `: ${items[0].detail}` : '';
  return t('outcomes', { list: words.join(', ') + detail });
}

/** A button that asks once more before it does something that cannot be undone. */
function Discard({ onDiscard, disabled }) {
  const [sure, setSure] = useState(false);
  if (!sure) return html`<button type="button" class="quiet danger" disabled=${disabled} onClick=${() => setSure(true)}>${t('discard')}</button>`;
  return html`<span class="sure" role="group" aria-label=${t('discard')}><span>${t('discardSure')}</span>
    <button type="button" class="danger" onClick=${() => { setSure(false); onDiscard(); }}>${t('discard')}</button>
    <button type="button" class="quiet" onClick=${() => setSure(false)}>${t('cancel')}</button></span>`;
}

/** Does something, and says what came of it or what went wrong. */
function useAction(onDone) {
  const [state, setState] = useState({ busy: false, said: '', bad: false });
  const act = async (work) => {
    setState({ busy: true, said: '', bad: false });
    try {
      const answer = await work();
      const items = answer.items ?? [answer];
      setState({ busy: false, said: outcome(items), bad: items.some(({ result }) => ['rejected', 'refused'].includes(result)) });
      refresh();
      onDone?.();
    } catch (error) {
      setState({ busy: false, said: error.message, bad: true });
    }
  };
  return [state, act];
}

function Payload({ letter, draft, setDraft, editable }) {
  const { payload, payloadBase64, payloadCut } = letter;
  const note = payloadCut ? 'payloadCut' : payloadBase64 ? 'payloadBinary' : null;
  const shown = payload ?? payloadBase64;
  return html`<h3 id="payload-title">${t('payload')}</h3>${note && html`<p class="muted">${t(note)}</p>`}
    ${shown === null || shown === undefined ? html`<p class="muted">${t('payloadNone')}</p>`
      : editable ? html`<textarea class="payload" aria-labelledby="payload-title" rows="10" spellcheck="false" value=${draft ?? shown}
          onInput=${(event) => setDraft(event.target.value)}></textarea>`
      : html`<pre class="payload" tabindex="0">${shown}</pre>`}`;
}

function Letter({ letter }) {
  const [draft, setDraft] = useState(null);
  const [state, act] = useAction();
  const address = `api/dead-letters/${letter.id}`;
  const isOpen = letter.state === 'open';
  const corrected = draft !== null && draft !== letter.payload;
  const replay = () => act(async () => {
    if (!corrected) return write('POST', `${address}/replay`, {});
    let payload;
    try {
      payload = JSON.parse(draft);
    } catch {
      throw new Error(t('notJson'));
    }
    return write('POST', `${address}/replay`, { payload });
  });
  const fact = (name, value) => html`<div key=${name}><dt>${t(name)}</dt><dd>${value}</dd></div>`;
  const action = (one, index) => html`<li key=${index}>${writtenMoment(one.at)}: ${one.action}, ${t(`result.${one.result}`)} · ${one.actor}
    ${one.corrected && ` · ${t('corrected')}`}${one.detail && ` · ${one.detail}`}</li>`;
  return html`<p class="lead-line"><strong>${letter.reason}</strong> ${letter.detail}</p>
    <dl class="facts">${fact('state', t(`state.${letter.state}`))}${fact('position', html`<span class="id">${letter.topic} / ${letter.partition} / ${letter.offset}</span>`)}
      ${fact('rejectedAt', writtenMoment(letter.createdAt))}${fact('id', html`<code>${letter.id}</code>`)}</dl>
    <${Payload} letter=${letter} draft=${draft} setDraft=${setDraft} editable=${config.writable && isOpen} />
    ${letter.headers?.length > 0 && html`<h3>${t('headers')}</h3><pre class="payload" tabindex="0">${letter.headers.map(({ name, value, valueHex }) => `${name}: ${value ?? `0x${valueHex}`}`).join('\n')}</pre>`}
    ${letter.actions.length > 0 && html`<h3>${t('actions')}</h3><ul>${letter.actions.map(action)}</ul>`}
    ${isOpen && (config.writable ? html`<div class="buttons"><button type="button" disabled=${state.busy} onClick=${replay}>${t(corrected ? 'replayCorrected' : 'replay')}</button>
        <${Discard} disabled=${state.busy} onDiscard=${() => act(() => write('DELETE', address))} /></div>`
      : html`<p class="muted">${t('readOnly')}</p>`)}
    <p role="status" class=${state.bad ? 'bad' : ''}>${state.said}</p>`;
}

function One({ id }) {
  const resource = useResource(`api/dead-letters/${encodeURIComponent(id)}`);
  return html`<${Dialog} kind="drawer" title=${t('deadLetters')} onClose=${() => choose({ letter: undefined })}>
    <${Of} resource=${resource} lines=${8}>${(letter) => html`<${Letter} letter=${letter} />`}<//><//>`;
}

/** The buttons for the letters that are ticked. */
function Selected({ ids, clear }) {
  const [state, act] = useAction(clear);
  const chosen = [...ids].slice(0, MOST_AT_ONCE);
  const many = (what) => () => act(() => write('POST', `api/dead-letters/${what}`, { ids: chosen }));
  return html`<div class="selected"><span>${t('selected', { n: ids.size })}</span>
    <button type="button" disabled=${!ids.size || state.busy} onClick=${many('replay')}>${t('replay')}</button>
    <${Discard} disabled=${!ids.size || state.busy} onDiscard=${many('discard')} />
    <span role="status" class=${state.bad ? 'bad' : ''}>${state.said}</span></div>`;
}

function Rows({ items, ids, toggle }) {
  const row = (letter) => html`<tr key=${letter.id}>
    ${config.writable && html`<td><input type="checkbox" aria-label=${`${t('select')} ${letter.id}`} disabled=${letter.state !== 'open'}
      checked=${ids.has(letter.id)} onChange=${() => toggle(letter.id)} /></td>`}
    <td class="when">${writtenMoment(letter.createdAt)}</td>
    <th scope="row"><button type="button" class="link" aria-haspopup="dialog" onClick=${() => choose({ letter: letter.id })}>${letter.reason}</button></th>
    <td class="detail">${letter.detail}</td><td class="id">${letter.topic}</td><td>${t(`state.${letter.state}`)}</td>
    <td class="right">${letter.payloadBytes === null ? '–' : bytes(letter.payloadBytes)}</td></tr>`;
  return html`<div class="scroll" tabindex="0" role="group" aria-label=${t('deadLetters')}><table><thead><tr>
    ${config.writable && html`<th scope="col"><span class="visually-hidden">${t('select')}</span></th>`}
    <th scope="col">${t('rejectedAt')}</th><th scope="col">${t('reason')}</th><th scope="col">${t('detail')}</th>
    <th scope="col">${t('topic')}</th><th scope="col">${t('state')}</th><th scope="col" class="right">${t('size')}</th></tr></thead>
    <tbody>${items.map(row)}</tbody></table></div>`;
}

export default function DeadLetters() {
  const { query } = route.use();
  const [ids, setIds] = useState(new Set());
  const of = (name) => query.get(name) ?? undefined;
  const parameters = { state: of('state'), reason: of('reason'), topic: of('topic'), from: moment(of('from')), to: moment(of('to'), 1) };
  const limit = Math.min(PAGE * (Number(query.get('pages')) || 1), MOST);
  const resource = useResource(withQuery('api/dead-letters', { ...parameters, limit }));
  const toggle = (id) => setIds((known) => {
    const next = new Set(known);
    if (!next.delete(id)) next.add(id);
    return next;
  });
  const fields = [
    { name: 'state', label: t('state'), type: STATES.map((state) => [state, t(`state.${state}`)]) },
    { name: 'reason', label: t('reason'), type: REASONS.map((reason) => [reason, reason]) },
    { name: 'topic', label: t('topic'), type: 'text' },
    { name: 'from', label: t('from'), type: 'date' },
    { name: 'to', label: t('to'), type: 'date' },
  ];
  const csv = html`<${CsvButton} address=${withQuery('api/dead-letters', { ...parameters, limit: MOST })} name="dead-letters" what=${t('deadLetters')} />`;
  const letter = query.get('letter');
  return html`<h1 tabindex="-1">${t('deadLetters')}</h1><p class="muted">${t('deadNote')} ${!config.writable && t('readOnly')}</p>
    <${Filters} key=${JSON.stringify(parameters)} fields=${fields} />
    <${Card} title=${t('deadLetters')} tools=${csv}>
      ${config.writable && html`<${Selected} ids=${ids} clear=${() => setIds(new Set())} />`}
      <${Of} resource=${resource} lines=${10} kind="rows">${(page) => (page.items.length
        ? html`<${Rows} items=${page.items} ids=${ids} toggle=${toggle} />${page.nextCursor && limit < MOST
            && html`<button type="button" class="quiet more" onClick=${() => choose({ pages: limit / PAGE + 1 }, { replace: true })}>${t('more')}</button>`}`
        : html`<${Empty}>${t('noLetters')}<//>`)}<//><//>
    ${letter && html`<${One} id=${letter} key=${letter} />`}`;
}
