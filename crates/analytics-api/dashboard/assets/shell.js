// The frame of every page: the bar at the top, the page of the address, and what lies above it.

import { html, useEffect, useErrorBoundary, useRef, useState } from './vendor/htm-preact-3.1.1/standalone.module.js';
import { config, embedded } from './config.js';
import { clock } from './format.js';
import { mode } from './live.js';
import { Link, route } from './router.js';
import { updatedAt } from './resources.js';
import { end, session } from './session.js';
import { t } from './text.js';
import { Empty, Loading } from './parts/basics.js';
import { Banner, FreshnessChip, PauseButton } from './parts/freshness.js';
import { explained } from './parts/number.js';
import { Help, help } from './parts/keys.js';

/** Loads a part of the program when it is first needed, and shows it with these properties. */
export function Lazy({ from, name = 'default', props = {}, quiet = false }) {
  const [part, setPart] = useState(null);
  useEffect(() => {
    let current = true;
    from().then((module) => current && setPart(() => module[name]), (error) => current && setPart(() => () => html`<${Empty} title=${t('failed')}>${error.message}<//>`));
    return () => {
      current = false;
    };
  }, [from, name]);
  return part ? html`<${part} ...${props} />` : quiet ? null : html`<${Loading} lines=${8} kind="page" />`;
}

const VIEWS = {
  overview: () => import('./views/overview.js'),
  seller: () => import('./views/seller.js'),
  events: () => import('./views/events.js'),
  deadLetters: () => import('./views/dead-letters.js'),
  proofs: () => import('./views/proofs.js'),
  buyer: () => import('./views/buyer.js'),
  signIn: () => import('./views/sign-in.js'),
  widget: () => import('./views/widget.js'),
};
const EXPLAIN = () => import('./parts/explain.js');

/** Which view an address and a person have, with its properties. */
function viewOf({ page, id }, person) {
  const [vendor] = person.vendors ?? [];
  switch (page) {
    case 'home':
      if (person.role === 'seller') return ['seller', { vendor }];
      return [person.role === 'buyer' ? 'buyer' : 'overview', {}];
    case 'seller':
      // Asking would be in vain: the API answers that there is no such seller.
      if (person.role === 'seller' && !person.vendors.includes(id)) return null;
      return ['seller', { vendor: id }];
    case 'embedSeller':
      return vendor ? ['seller', { vendor, plain: true }] : null;
    case 'embedWidget':
      return vendor ? ['widget', { vendor, name: id }] : null;
    case 'nowhere':
      return null;
    default:
      return [page, {}];
  }
}

const PAGES = [['/', 'overview', 'home'], ['/events', 'events', 'events'], ['/dead-letters', 'deadLetters', 'deadLetters'], ['/proofs', 'proofs', 'proofs']];

function Bar({ person, page }) {
  const signedIn = person?.state && person.state !== 'out';
  const link = ([to, name, own]) => html`<${Link} key=${to} to=${to} aria-current=${page === own ? 'page' : undefined}>${t(name)}<//>`;
  return html`<header class="top"><div class="top-inner">
    <${Link} to="/" class="brand"><img src=${new URL('./icon.svg', import.meta.url).href} alt="" width="20" height="20" />${t('title')}<//>
    ${signedIn && html`
      ${person.role === 'admin' && html`<nav aria-label=${t('nav')}>${PAGES.map(link)}</nav>`}
      <div class="status"><${FreshnessChip} /><${PauseButton} />
        <button type="button" class="icon" aria-label=${t('keys')} onClick=${() => help.set(true)}>?</button>
        ${config.auth === 'token' && html`<button type="button" class="quiet" title=${t('signedInAs', { role: t(`role.${person.role}`) })}
          onClick=${() => end('out')}>${t('signOut')}</button>`}</div>`}
  </div></header>`;
}

/** Says that numbers changed, at most every half minute. */
function Announcer() {
  const at = updatedAt.use();
  const [said, setSaid] = useState({ at: 0, text: '' });
  useEffect(() => {
    if (at && at - said.at > 30_000) setSaid({ at, text: t('updated', { time: clock(at) }) });
  }, [at]);
  return html`<div class="visually-hidden" aria-live="polite">${mode.use() === 'paused' ? '' : said.text}</div>`;
}

function Page({ current, person }) {
  const [error, reset] = useErrorBoundary();
  useEffect(reset, [current.path]);
  if (error) return html`<${Empty} title=${t('failed')}>${error.message}<//>`;
  const view = viewOf(current, person);
  if (!view) return html`<h1 class="visually-hidden">${t('title')}</h1><${Empty}>${t(current.page === 'seller' ? 'notFound' : 'noPage')}<//>`;
  const [name, props] = view;
  return html`<${Lazy} key=${`${name} ${JSON.stringify(props)}`} from=${VIEWS[name]} props=${props} />`;
}

/** The whole page. */
export function Shell() {
  const current = route.use();
  const person = session.use();
  const open = explained.use();
  const shown = useRef(null);
  const [signing, setSigning] = useState(false);
  // What was read stays on the page when a session ends, until somebody signs in again.
  const ended = ['ended', 'refused'].includes(person?.state) && person.role;
  const isIn = person?.state === 'in' || (ended && !signing);
  useEffect(() => setSigning(false), [person?.state]);
  useEffect(() => {
    const page = { home: t('overview'), seller: current.id, events: t('events'), deadLetters: t('deadLetters'), proofs: t('proofs') }[current.page];
    document.title = [page, t('title')].filter(Boolean).join(' · ');
    if (shown.current && shown.current !== current.path) document.querySelector('main').focus({ preventScroll: true });
    shown.current = current.path;
  }, [current.path]);
  const skip = (event) => {
    event.preventDefault();
    document.querySelector('main').focus();
  };
  const again = html`<button type="button" class="quiet" onClick=${() => setSigning(true)}>${t('signInAgain')}</button>`;
  return html`<div class="frame ${embedded ? 'embedded' : ''}">
    ${!embedded && html`<a class="skip" href=${`${location.pathname}${location.search}#main`} onClick=${skip}>${t('skip')}</a>`}
    ${!embedded && html`<${Bar} person=${person} page=${current.page} />`}
    <main id="main" tabindex="-1">
      <${Banner} action=${again} />
      ${embedded && isIn && html`<div class="status"><${FreshnessChip} /></div>`}
      ${!person ? html`<${Loading} lines=${8} kind="page" />`
        : isIn ? html`<${Page} current=${current} person=${person} />`
        : html`<${Lazy} from=${VIEWS.signIn} />`}
    </main>
    ${open && html`<${Lazy} from=${EXPLAIN} name="Explain" quiet />`}
    <${Help} />
    <${Announcer} />
  </div>`;
}
