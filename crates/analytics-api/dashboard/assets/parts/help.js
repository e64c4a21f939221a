// The list of keys, and the switch of those that are single letters.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { t } from '../text.js';
import { help, letters, PERIODS, setLetters } from './numbers.js';
import { Dialog } from './dialog.js';

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
