// Begins: the token leaves the address bar before anything else happens.

import { html, render } from './vendor/htm-preact-3.1.1/standalone.module.js';
import { applyAppearance } from './config.js';
import * as live from './live.js';
import { listen } from './parts/keys.js';
import * as session from './session.js';
import { Shell } from './shell.js';

session.start();
applyAppearance();
live.start();
listen();
render(html`<${Shell} />`, document.getElementById('app'));
