// Files that the page makes, and rows of lists that the API writes as CSV.

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
