// What the server says about itself, and what the address asks of an embedded page.

const meta = document.querySelector('meta[name="dashboard-config"]');

/** `auth`, `timezone`, `currency`, `weekStart`, `writable`, `embedOrigins` and `version`. */
export const config = JSON.parse(meta.content);

/** The path of the application without a slash at its end: empty, or such as `/analytics`. */
export const base = new URL(document.baseURI).pathname.replace(/\/$/, '');

const query = new URLSearchParams(location.search);

/** Whether the page stands in somebody else's page. */
export const embedded = location.pathname.startsWith(`${base}/embed/`);

function validLanguage(name) {
  try {
    return name && Intl.getCanonicalLocales(name)[0];
  } catch {
    return undefined;
  }
}

/** The languages in which numbers and dates are written, the best one first. */
export const languages = [validLanguage(query.get('lang')), ...navigator.languages].filter(Boolean);

/** Applies the theme and the width that an embedding page asks for. */
export function applyAppearance() {
  const theme = query.get('theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  const width = Number(query.get('width'));
  if (embedded && width >= 120 && width <= 4000) document.documentElement.style.maxWidth = `${width}px`;
}
