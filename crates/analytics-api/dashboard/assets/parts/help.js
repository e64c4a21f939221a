// Keys: single letters choose the time and the comparison. They can be switched off (WCAG 2.1.4).

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { pause } from '../data.js';
import { signal } from '../session.js';
import { t } from '../text.js';
import { choose, route } from './basics.js';
import { Dialog } from './dialog.js';
import { asked, choosePeriod, COMPARISONS, explained, help, PERIODS } from './numbers.js';

const KEY = 'analytics-letters';

function remembered() {
  try {
    return localStorage.getItem(KEY) !== 'off';
  } catch {
    return true;
  }
}

const letters = signal(remembered());
function setLetters(on) {
  letters.set(on);
  try {
    localStorage.setItem(KEY, on ? 'on' : 'off');
  } catch {
    // Then it holds until the page is left.
  }
}

function nextComparison() {
  const { compare } = asked(route.get().query);
  const next = COMPARISONS[(COMPARISONS.indexOf(compare) + 1) % COMPARISONS.length];
  choose({ compare: next === COMPARISONS[0] ? undefined : next });
}

const ACTIONS = {
  c: nextComparison,
  v: () => choose({ view: route.get().query.get('view') ? undefined : 'table' }, { replace: true }),
  p: pause,
};
const PANELS = ['home', 'seller', 'embedSeller'];

/** Does what a key is for. */
export function pressed(event) {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) || target.isContentEditable) return;
  if (explained.get() || document.querySelector('dialog[open]')) return;
  if (key === '?') return help.set(true);
  if (!letters.get()) return;
  if (key === 'p') return pause();
  if (!PANELS.includes(route.get().page)) return;
  const period = PERIODS.find(([, letter]) => letter === key);
  if (period) choosePeriod(period[0]);
  else ACTIONS[key]?.();
}

/** The list of keys. */
export default function Help() {
  const on = letters.use();
  const row = (key, text) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${text}</dd></div>`;
  return html`<${Dialog} title=${t('keys')} onClose=${() => help.set(false)}>
    <label class="check"><input type="checkbox" checked=${on} onChange=${(event) => setLetters(event.target.checked)} />
      ${t('keysOn')}</label>
    <dl class="keys">
      ${PERIODS.map(([name, key]) => row(key, t(name)))}
      ${row('c', t('keyCompare'))}${row('v', t('keyTable'))}${row('p', t('keyPause'))}
      ${row('← →', t('keyArrows'))}${row('Enter', t('keyEnter'))}${row('Esc', t('keyEscape'))}${row('?', t('keyHelp'))}
    </dl><//>`;
}
