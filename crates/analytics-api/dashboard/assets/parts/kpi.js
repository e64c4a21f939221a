// A number of a panel with its change and its course.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { change as writtenChange, moment, value as written } from '../format.js';
import { explanation, NUMBERS } from '../metrics.js';
import { choose } from '../router.js';
import { t } from '../text.js';
import { Hidden } from './basics.js';
import { Num } from './number.js';
import { Sparkline } from './sparkline.js';

/** How a number changed; nothing where there is nothing to compare it with. */
export function Change({ number, compare = 'previous' }) {
  const { change } = number;
  if (change === null || change === undefined) return html`<span class="change none">${t('noBase')}</span>`;
  const direction = change > 0 ? 'up' : change < 0 ? 'down' : 'same';
  const arrow = { up: '▲', down: '▼', same: '' }[direction];
  return html`<span class="change ${direction}"><span class="arrow" aria-hidden="true">${arrow}</span
    ><span>${change === 0 ? t('unchanged') : writtenChange(change)}</span>${
    change !== 0 && html` <span class="than">${t(`than.${compare}`)}</span>`}</span>`;
}

/** The sentence that says what a change compares. */
function comparison(number, currency, panel) {
  if (number.previous === null || number.previous === undefined) return undefined;
  const shown = (raw) => written(raw, number.unit, currency);
  const end = Math.min(Date.now(), Date.parse(panel.to));
  return t('until', {
    until: moment(new Date(end - (end % 3_600_000))),
    current: shown(number.current),
    previous: shown(number.previous),
  });
}

/** One number of a panel. `chosen` is the one that the chart shows; without `onChoose` there is none. */
export function Kpi({ name, number, panel, subject, chosen, label = t(name), extra, selectable = true }) {
  const range = { from: panel.from, to: panel.to, asOf: panel.asOf };
  const choice = () => choose({ metric: name }, { replace: true });
  const title = selectable
    ? html`<button type="button" class="kpi-title" aria-pressed=${String(Boolean(chosen))} onClick=${choice}>${label}${extra
        && html` <small>${extra}</small>`}</button>`
    : html`<span class="kpi-title">${label}${extra && html` <small>${extra}</small>`}</span>`;
  return html`<li class="kpi ${chosen ? 'chosen' : ''}">
    ${title}
    <${Num} kind="big" label=${label} raw=${number.value} unit=${NUMBERS[name].unit} currency=${panel.currency}
      explanation=${explanation(name, subject, range, number.events)} range=${range}
      note=${comparison(number, panel.currency, panel)} />
    <${Change} number=${number} compare=${panel.compare} />
    <${Sparkline} series=${number.series} panel=${panel} />
  </li>`;
}

/** The place of numbers that are being read. */
export function KpisLoading({ count }) {
  const one = (_, index) => html`<li class="kpi" key=${index}><span class="bar short"></span><span class="bar tall"></span
    ><span class="bar short"></span><span class="sparkline"></span></li>`;
  return html`<ul class="kpis" aria-busy="true"><${Hidden}>${t('loading')}<//>${Array.from({ length: count }, one)}</ul>`;
}
