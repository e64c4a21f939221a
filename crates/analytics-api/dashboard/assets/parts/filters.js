// Filters of a list. They are in the address, and so are the pages that were opened.

import { html, useState } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { date, local } from '../metrics.js';
import { config } from '../session.js';
import { t } from '../text.js';
import { choose, route } from './basics.js';
import './more-style.js';

/** The moment at which a date such as `2026-11-20` begins on the clock of the business. */
function startOf(text, days = 0) {
  const wanted = Date.parse(`${text}T00:00:00Z`) + days * 86_400_000;
  let at = wanted;
  // Twice, because the first guess may be on the other side of a change of the clock.
  for (let guess = 0; guess < 2; guess++) {
    const { year, month, day, hour } = local(at);
    const minutes = Number(new Intl.DateTimeFormat('en', { timeZone: config.timezone, minute: 'numeric' }).format(at));
    at += wanted - Date.UTC(year, month - 1, day, hour, minutes);
  }
  return new Date(at).toISOString();
}

/** A moment of the address: a date is the start of its day, or of the day after it. */
export const moment = (text, days = 0) => (/^\d{4}-\d{2}-\d{2}$/.test(text ?? '') ? startOf(text, days) : text ?? undefined);

/** A date for an input, from a date or a moment of the address; `to` is the last day. */
function day(text, isEnd) {
  if (!text) return '';
  return text.includes('T') ? date(Date.parse(text) - (isEnd ? 1 : 0)) : text;
}

/** A form of filters. `fields` have a `name`, a `label`, and a `type`: `text`, `date` or a list of options. */
export function Filters({ fields }) {
  const { query } = route.use();
  const [draft, setDraft] = useState({});
  const valueOf = ({ name, type }) => draft[name] ?? (type === 'date' ? day(query.get(name), name === 'to') : query.get(name) ?? '');
  const set = (name, value) => setDraft({ ...draft, [name]: value });
  const submit = (event) => {
    event.preventDefault();
    choose({ ...Object.fromEntries(Object.entries(draft).map(([name, value]) => [name, value.trim() || undefined])), pages: undefined });
    setDraft({});
  };
  const clear = () => {
    setDraft({});
    choose({ ...Object.fromEntries(fields.map(({ name }) => [name, undefined])), pages: undefined });
  };
  const control = (field) => {
    const { name, type } = field;
    const onInput = (event) => set(name, event.target.value);
    if (Array.isArray(type)) {
      const value = valueOf(field);
      return html`<select value=${value} onChange=${onInput}><option value="">${t('any')}</option>
        ${type.map(([option, text]) => html`<option key=${option} value=${option} selected=${option === value}>${text}</option>`)}</select>`;
    }
    return html`<input type=${type} value=${valueOf(field)} maxlength="255" onInput=${onInput} spellcheck="false" autocomplete="off" />`;
  };
  return html`<form class="filters" onSubmit=${submit} role="search" aria-label=${t('filters')}>
    ${fields.map((field) => html`<label class="choice" key=${field.name}><span>${field.label}</span>${control(field)}</label>`)}
    <span class="buttons"><button type="submit">${t('apply')}</button>
      <button type="button" class="quiet" onClick=${clear}>${t('clear')}</button></span></form>`;
}
