// The card of the anomalies that are not over, with what somebody says about them.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { refresh, send, useResource, withQuery } from '../data.js';
import { moment, subjectOf } from '../metrics.js';
import { config, session } from '../session.js';
import { t } from '../text.js';
import { Card, Empty, Link, Of, sellerPath } from './basics.js';
import { Dialog } from './dialog.js';
import { figures } from './marks.js';
import './more-style.js';

const MOST = 100;
/** The longest comment that the API takes. */
const LONGEST = 1000;

/** What an anomaly is about, in words. */
function titleOf({ type }) {
  if (type === 'freshness') return t('freshness');
  const [kind, event] = type.split(/:(.*)/);
  if (kind === 'events') return `${t('events')} ${event}`;
  const { name, id, currency } = subjectOf(type);
  return [t(name), id, currency].filter(Boolean).join(', ');
}

/** Takes a comment of an admin. */
function Acknowledge({ anomaly, onClose }) {
  const [comment, setComment] = useState(anomaly.comment ?? '');
  const [state, setState] = useState({ busy: false, said: '' });
  const submit = async (event) => {
    event.preventDefault();
    setState({ busy: true, said: '' });
    try {
      await send(`api/anomalies/${anomaly.id}/acknowledge`, { method: 'POST', body: JSON.stringify({ comment: comment.trim() || undefined }) });
      refresh();
      onClose();
    } catch (error) {
      setState({ busy: false, said: error.message });
    }
  };
  return html`<${Dialog} title=${t('acknowledge')} onClose=${onClose}><form onSubmit=${submit}>
    <p class="lead-line"><strong>${titleOf(anomaly)}</strong> ${figures(anomaly)}</p>
    <label class="choice"><span>${t('comment')}</span><textarea class="payload" rows="3" maxlength=${LONGEST} value=${comment}
      onInput=${(event) => setComment(event.target.value)}></textarea></label>
    <div class="buttons"><button type="submit" disabled=${state.busy}>${t('acknowledge')}</button></div>
    <p role="status" class="bad">${state.said}</p></form><//>`;
}

function One({ anomaly, onAcknowledge, linked }) {
  const { vendorId } = anomaly;
  const title = titleOf(anomaly);
  const seen = anomaly.state === 'acknowledged' && t(anomaly.acknowledgedBy ? 'acknowledgedBy' : 'acknowledged', { who: anomaly.acknowledgedBy });
  return html`<li class="anomaly ${anomaly.verdict}"><span class="what"><strong>${linked && vendorId
      ? html`<${Link} to=${sellerPath(vendorId)}>${title}<//>` : title}</strong> <span>${figures(anomaly)}</span>
    <small>${t('since', { time: moment(anomaly.from) })}${seen && ` · ${seen}`}${anomaly.comment && `: ${anomaly.comment}`}</small></span>
    ${onAcknowledge && html`<button type="button" class="quiet" aria-label=${`${t('acknowledge')}: ${title}`}
      onClick=${onAcknowledge}>${t('acknowledge')}</button>`}</li>`;
}

/** The anomalies that are not over: of a seller, or, without one, all that may be seen. */
export function Anomalies({ vendor }) {
  const resource = useResource(withQuery('api/anomalies', { state: 'unresolved', vendorId: vendor, limit: MOST }));
  const [chosen, setChosen] = useState(null);
  const mayAcknowledge = session.use().role === 'admin' && config.writable;
  const list = ({ items, nextCursor }) => (items.length
    ? html`<ul class="anomalies">${items.map((anomaly) => html`<${One} key=${anomaly.id} anomaly=${anomaly} linked=${!vendor}
        onAcknowledge=${mayAcknowledge && (() => setChosen(anomaly))} />`)}</ul>
        ${nextCursor && html`<p class="foot">${t('newestOnly', { n: items.length })}</p>`}`
    : html`<${Empty}>${t('noAnomalies')}<//>`);
  return html`<${Card} title=${t('anomalies')}><${Of} resource=${resource} lines=${2} kind="rows">${list}<//>
    ${chosen && html`<${Acknowledge} anomaly=${chosen} onClose=${() => setChosen(null)} />`}<//>`;
}
