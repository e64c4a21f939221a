// What everybody may see: how popular products are.

import { html } from '../vendor/htm-preact-3.1.1/standalone.module.js';
import { t } from '../text.js';
import { Toolbar } from '../parts/numbers.js';
import { Ranking } from '../parts/ranking.js';

export default function Buyer() {
  return html`<h1 tabindex="-1">${t('popular')}</h1><p class="muted">${t('buyerNote')}</p>
    <${Toolbar} /><div class="grid"><${Ranking} what="products" title=${t('topProducts')} fixed="views" /></div>`;
}
