// Small parts that every page is made of: cards, states, dialogs, tables.

import { html, useEffect, useRef } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { away, saveCsv } from '../api.js';
import { refresh } from '../resources.js';
import { t } from '../text.js';

let ids = 0;

/** An id that no other element has. */
export function useId() {
  const ref = useRef();
  ref.current ??= `id-${++ids}`;
  return ref.current;
}

/** A part of a page with a title, tools beside it, and its contents. */
export function Card({ title, tools, children, kind = '' }) {
  const id = useId();
  return html`<section class="card ${kind}" aria-labelledby=${id}>
    <header class="card-head"><h2 id=${id}>${title}</h2><div class="tools">${tools}</div></header>
    ${children}
  </section>`;
}

/** Text for screen readers only. */
export const Hidden = ({ children }) => html`<span class="visually-hidden">${children}</span>`;

/** Grey bars in the place of what is being read. */
export function Loading({ lines = 3, kind = '' }) {
  const bars = Array.from({ length: lines }, (_, index) => html`<span class="bar" key=${index}></span>`);
  return html`<div class="loading ${kind}" role="status"><${Hidden}>${t('loading')}<//>${bars}</div>`;
}

/** A sentence in the place of contents that are not there. */
export const Empty = ({ title, children }) =>
  html`<div class="empty">${title && html`<strong>${title}</strong>`}<span>${children ?? t('empty')}</span></div>`;

/** What went wrong, and a button that tries again. */
export function Failure({ error }) {
  if (error.status === 403) return html`<${Empty}>${t('mayNot')}<//>`;
  if (error.code === 'seller_not_found') return html`<${Empty}>${t('notFound')}<//>`;
  return html`<div class="empty failure" role="alert">
    <strong>${t('failed')}</strong><span>${error.message}</span>
    <button class="quiet" type="button" onClick=${refresh}>${t('retry')}</button>
  </div>`;
}

/** The contents of a resource: while it is read, when it failed, and otherwise what `children` draws. */
export function Of({ resource, lines, kind, children }) {
  const { data, error } = resource;
  if (data !== null) return children(data);
  // The banner says that the server is away; what is missing is still to come.
  if (error && !(error.code === 'away' && away.get())) return html`<${Failure} error=${error} />`;
  return html`<${Loading} lines=${lines} kind=${kind} />`;
}

/** A button that saves the rows of a list as CSV. */
export const CsvButton = ({ address, name, what }) =>
  html`<button class="quiet" type="button" aria-label=${t('saveCsv', { what })}
    onClick=${() => saveCsv(address, name).catch(() => {})}>${t('csv')}</button>`;

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

/** A choice from a list. `options` are pairs of a value and a text. */
export function Choice({ label, value, options, onChange, kind = '' }) {
  return html`<label class="choice ${kind}"><span>${label}</span>
    <select value=${value} onChange=${(event) => onChange(event.target.value)}>
      ${options.map(([name, text]) => html`<option key=${name} value=${name} selected=${name === value}>${text}</option>`)}
    </select></label>`;
}

/** A name with the id below it, or the id alone. */
export const Named = ({ id, name }) =>
  name ? html`<span class="named"><span>${name}</span><small>${id}</small></span>` : html`<span class="named">${id}</span>`;
