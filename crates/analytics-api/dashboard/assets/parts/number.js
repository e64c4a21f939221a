// A number of the API. It says what it is in `data-` attributes, and opens the events that it is made of.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { value as written } from '../format.js';
import { signal } from '../signal.js';
import { t } from '../text.js';
import { Hidden } from './basics.js';

/** The number whose events are shown; null without one. */
export const explained = signal(null);

/**
 * A number as a button. `raw` is the API's value, `explanation` its metric and sides (see
 * `metrics.js`), `range` its `from`, `to` and `asOf`, and `note` a sentence about it.
 */
export function Num({ label, raw, unit, currency, explanation, range, note, kind = '' }) {
  const { metric, sides } = explanation;
  const { from, to, asOf } = range;
  const open = () => explained.set({ label, raw, unit, currency, metric, sides, range, note });
  return html`<button type="button" class="num ${kind}" onClick=${open} aria-haspopup="dialog"
    data-metric=${metric} data-value=${String(raw)} data-asof=${asOf} data-from=${from} data-to=${to}
    ><${Hidden}>${label}: <//>${written(raw, unit, currency)}<${Hidden}>, ${t('showEvents')}<//></button>`;
}
