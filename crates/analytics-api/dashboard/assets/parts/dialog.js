// A modal dialog.

import { html, useEffect, useRef } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { t } from '../text.js';
import { useId } from './basics.js';
import './more-style.js';

/** A modal dialog; the focus returns to where it was. */
export function Dialog({ title, onClose, kind = '', children, head }) {
  const ref = useRef();
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${ref} class="dialog ${kind}" aria-labelledby=${id} onCancel=${cancel}
    onClick=${(event) => event.target === ref.current && onClose()}>
    <div class="dialog-body">
      <header class="dialog-head">
        <h2 id=${id} tabindex="-1" autofocus>${title}</h2>
        <button class="icon" type="button" onClick=${onClose} aria-label=${t('close')}>×</button>
      </header>
      ${head}
      <div class="dialog-rest" tabindex="0" role="group" aria-labelledby=${id}>${children}</div>
    </div>
  </dialog>`;
}
