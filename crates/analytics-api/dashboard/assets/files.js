// Files that the page makes, and what the API writes as CSV or as a page.

import { send } from './data.js';

/** Saves a file. */
export function save(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Saves the rows of a list as CSV: the same route, with the same parameters. */
export async function saveCsv(address, name) {
  const answer = await send(address, { headers: { Accept: 'text/csv' } });
  save(await answer.blob(), `${name}.csv`);
}

/** Saves a page of the API. It is not opened here, where its style would be against the policy of our pages. */
export async function savePage(address, name) {
  save(await (await send(address)).blob(), `${name}.html`);
}
