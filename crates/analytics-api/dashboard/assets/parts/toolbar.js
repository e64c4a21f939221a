// What a panel shows: time, comparison, currency. All of it is in the address.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { config } from '../config.js';
import { date, range as writtenRange } from '../format.js';
import { choose, route } from '../router.js';
import { t } from '../text.js';
import { Choice } from './basics.js';

/** The periods, each with the key that chooses it. */
export const PERIODS = [
  ['today', 'd'],
  ['yesterday', 'y'],
  ['7d', 'w'],
  ['30d', 'm'],
  ['90d', 'q'],
  ['this_month', 't'],
  ['last_month', 'l'],
  ['this_year', 'j'],
  ['all', 'a'],
];
export const COMPARISONS = ['previous', 'previous_week', 'previous_year'];
const DEFAULT_PERIOD = '30d';

/** What of the address asks the API for numbers. */
export function asked(query) {
  const currency = query.get('currency') ?? undefined;
  const compare = COMPARISONS.includes(query.get('compare')) ? query.get('compare') : 'previous';
  const [from, to] = [query.get('from'), query.get('to')];
  const time = from ? { from, to: to ?? undefined } : { period: query.get('period') ?? DEFAULT_PERIOD };
  return { time, compare, currency: currency === config.currency ? undefined : currency };
}

/** Chooses a period and nothing else of the time. */
export const choosePeriod = (period) => choose({ period, from: undefined, to: undefined, interval: undefined });

function Dates({ onDone }) {
  const { query } = route.use();
  const [from, setFrom] = useState(query.get('from')?.slice(0, 10) ?? date(Date.now() - 6 * 86_400_000));
  const [to, setTo] = useState(query.get('to')?.slice(0, 10) ?? date(Date.now()));
  const submit = (event) => {
    event.preventDefault();
    if (from && to && from <= to) {
      choose({ period: undefined, from, to, interval: undefined });
      onDone();
    }
  };
  return html`<form class="dates" onSubmit=${submit}>
    <label class="choice"><span>${t('from')}</span><input type="date" required value=${from} max=${to}
      onInput=${(event) => setFrom(event.target.value)} /></label>
    <label class="choice"><span>${t('to')}</span><input type="date" required value=${to} min=${from}
      onInput=${(event) => setTo(event.target.value)} /></label>
    <button type="submit">${t('apply')}</button>
  </form>`;
}

/** Time, comparison and currency of a panel; `currencies` are those that there is revenue in. */
export function Toolbar({ currencies, panel }) {
  const { query } = route.use();
  const [custom, setCustom] = useState(false);
  const { compare, currency } = asked(query);
  const period = query.get('from') || custom ? 'custom' : query.get('period') ?? DEFAULT_PERIOD;
  const onPeriod = (name) => {
    setCustom(name === 'custom');
    if (name !== 'custom') choosePeriod(name);
  };
  const known = [...new Set([config.currency, ...(currencies ?? []), ...(currency ? [currency] : [])])].sort();
  const onCurrency = (code) => choose({ currency: code === config.currency ? undefined : code });
  return html`<div class="toolbar">
    <${Choice} label=${t('period')} value=${period} onChange=${onPeriod}
      options=${[...PERIODS.map(([name]) => [name, t(name)]), ['custom', t('custom')]]} />
    ${period === 'custom' && html`<${Dates} onDone=${() => setCustom(false)} />`}
    <${Choice} kind="compare" label=${t('compare')} value=${compare} options=${COMPARISONS.map((name) => [name, t(name)])}
      onChange=${(name) => choose({ compare: name === 'previous' ? undefined : name })} />
    <${Choice} label=${t('currency')} value=${currency ?? config.currency}
      options=${known.map((code) => [code, code])} onChange=${onCurrency} />
    <p class="range">${panel?.from ? writtenRange(panel.from, panel.to) : ' '}
      <small>${t('timezone', { timezone: config.timezone })}</small></p>
  </div>`;
}
