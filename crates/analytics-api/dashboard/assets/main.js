// Begins, and draws the frame of every page: the bar at the top, the page of the address, and what lies
// above it.

import { html, render, useEffect, useErrorBoundary, useRef, useState } from './vendor/htm-preact-3.1.1/standalone.module.js';
import { away, freshness, listenToNews, mode, oldestShown, pause, updatedAt } from './data.js';
import { clock, moment } from './metrics.js';
import { Empty, Lazy, Link, Loading, route } from './parts/basics.js';
import { explained, help } from './parts/numbers.js';
import { applyAppearance, config, embedded, end, ending, session, start } from './session.js';
import { t } from './text.js';

function words(state, known, isAway) {
  if (isAway) return t('noAnswer');
  if (state === 'live' || !known.countedUpTo) return t(state);
  return t(`${state}.until`, { time: moment(known.countedUpTo, { short: true }) });
}

export function FreshnessChip() {
  const known = freshness.use();
  const isAway = away.use() !== null;
  const [open, setOpen] = useState(false);
  const state = isAway ? 'stalled' : known?.state;
  if (!state) return html`<span class="chip">${t('checking')}</span>`;
  return html`<button type="button" class="chip" data-freshness=${state} aria-haspopup="dialog"
      onClick=${() => setOpen(true)}><span class="dot" aria-hidden="true"></span>${words(state, known, isAway)}</button>
    ${open && html`<${Lazy} from=${TOPICS} quiet props=${{ onClose: () => setOpen(false) }} />`}`;
}

export function PauseButton() {
  const paused = mode.use() === 'paused';
  return html`<button type="button" class="quiet" onClick=${pause} aria-pressed=${String(paused)}
    title=${t(paused ? 'resumeTitle' : 'pauseTitle')}>${t(paused ? 'resume' : 'pause')}</button>`;
}

function sentence(known, since, person, isEnding, current) {
  const shown = oldestShown();
  const dated = { shown: shown ? moment(shown) : t('never') };
  if (['ended', 'refused'].includes(person?.state)) return ['bad', t(person.state + (shown ? 'Banner' : ''), dated)];
  if (since) return ['bad', t(shown ? 'away' : 'awayEmpty', { time: moment(since), ...dated })];
  if (current === 'paused') return ['note', t('paused', { time: dated.shown })];
  if (isEnding && person?.expiresAt) return ['warn', t('endingBanner', { time: clock(person.expiresAt) })];
  if (known && known.state !== 'live') {
    const key = known.state + (known.countedUpTo ? 'Banner' : 'Unknown');
    return ['warn', t(key, { time: known.countedUpTo && moment(known.countedUpTo) })];
  }
  return null;
}

export function Banner({ action }) {
  const [known, since, person, isEnding, current] =
    [freshness.use(), away.use(), session.use(), ending.use(), mode.use()];
  const said = sentence(known, since, person, isEnding, current);
  return html`<div class="banner-place" role="status" aria-live="polite">${said
    && html`<p class="banner ${said[0]}">${said[1]} ${['ended', 'refused'].includes(person?.state) && !embedded && action}</p>`}</div>`;
}

const VIEWS = {
  overview: () => import('./views/overview.js'),
  seller: () => import('./views/seller.js'),
  reconcile: () => import('./views/reconcile.js'),
  statements: () => import('./views/statements.js'),
  statement: () => import('./views/statement.js'),
  months: () => import('./views/months.js'),
  events: () => import('./views/events.js'),
  deadLetters: () => import('./views/dead-letters.js'),
  proofs: () => import('./views/proofs.js'),
  buyer: () => import('./views/buyer.js'),
  signIn: () => import('./views/sign-in.js'),
  widget: () => import('./views/widget.js'),
};
const EXPLAIN = () => import('./parts/explain.js');
const TOPICS = () => import('./parts/topics.js');
const HELP = () => import('./parts/help.js');

/** The pages of a seller that are not for support. */
const OF_OWNERS = ['reconcile', 'statements', 'statement'];

function viewOf({ page, id, month }, person) {
  const [vendor] = person.vendors ?? [];
  switch (page) {
    case 'home':
      if (person.role === 'seller') return ['seller', { vendor }];
      return [person.role === 'buyer' ? 'buyer' : 'overview', {}];
    case 'seller':
      // Asking would be in vain: the API answers that there is no such seller.
      if (person.role === 'seller' && !person.vendors.includes(id)) return null;
      return ['seller', { vendor: id }];
    case 'reconcile':
    case 'statements':
    case 'statement':
      return person.role === 'admin' || person.vendors?.includes(id) ? [page, { vendor: id, month }] : null;
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

const OF_ADMINS = [['/', 'overview', 'home'], ['/months', 'months', 'months'], ['/events', 'events', 'events'],
  ['/dead-letters', 'deadLetters', 'deadLetters'], ['/proofs', 'proofs', 'proofs']];
const PAGES = { admin: OF_ADMINS, support: OF_ADMINS.slice(0, 2) };

function Bar({ person, page }) {
  const signedIn = person?.state && person.state !== 'out';
  const link = ([to, name, own]) => html`<${Link} key=${to} to=${to} aria-current=${page === own ? 'page' : undefined}>${t(name)}<//>`;
  return html`<header class="top"><div class="top-inner">
    <${Link} to="/" class="brand"><i class="mark"></i>${t('title')}<//>
    ${signedIn && html`
      ${PAGES[person.role] && html`<nav aria-label=${t('nav')}>${PAGES[person.role].map(link)}</nav>`}
      <div class="status"><${FreshnessChip} /><${PauseButton} />
        <button type="button" class="icon" aria-label=${t('keys')} onClick=${() => help.set(true)}>?</button>
        ${config.auth === 'token' && html`<button type="button" class="quiet" onClick=${() => end('out')}>${t('signOut')}</button>`}</div>`}
  </div></header>`;
}

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
  if (!view) return html`<h1 class="visually-hidden">${t('title')}</h1><${Empty}>${t(['seller', ...OF_OWNERS].includes(current.page) ? 'notFound' : 'noPage')}<//>`;
  const [name, props] = view;
  return html`<${Lazy} key=${`${name} ${JSON.stringify(props)}`} from=${VIEWS[name]} props=${props} />`;
}

export function Shell() {
  const current = route.use();
  const person = session.use();
  const open = explained.use();
  const asked = help.use();
  const shown = useRef(null);
  const [signing, setSigning] = useState(false);
  // What was read stays on the page when a session ends, until somebody signs in again.
  const ended = ['ended', 'refused'].includes(person?.state) && person.role;
  const isIn = person?.state === 'in' || (ended && !signing);
  useEffect(() => setSigning(false), [person?.state]);
  useEffect(() => {
    const page = { home: t('overview'), seller: current.id, reconcile: t('reconcile'), statements: t('statements'), months: t('months'),
      statement: `${t('statements')} ${current.month}`, events: t('events'), deadLetters: t('deadLetters'), proofs: t('proofs') }[current.page];
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
    ${open && html`<${Lazy} from=${EXPLAIN} quiet />`}
    ${asked && html`<${Lazy} from=${HELP} quiet />`}
    <${Announcer} />
  </div>`;
}

start({
  listenToParent: () => import('./embed.js').then(({ default: listen }) => listen()),
  askGateway: () => import('./gateway.js').then(({ default: ask }) => ask()),
});
applyAppearance();
listenToNews();
addEventListener('keydown', (event) => HELP().then(({ pressed }) => pressed(event)));
render(html`<${Shell} />`, document.getElementById('app'));
