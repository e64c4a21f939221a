// Saves a chart as a picture.

import { save } from '../files.js';

/** Saves the chart as it is, with its title above. */
export default function savePng(plot, place, colour, { title, subtitle, name }) {
  const scale = devicePixelRatio || 1;
  const head = 64 * scale;
  const source = plot.ctx.canvas;
  const canvas = Object.assign(document.createElement('canvas'), { width: source.width, height: source.height + head });
  const context = canvas.getContext('2d');
  const family = getComputedStyle(place).fontFamily;
  context.fillStyle = colour('card', place);
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, head);
  context.fillStyle = colour('ink', place);
  context.font = `600 ${16 * scale}px ${family}`;
  context.fillText(title, 16 * scale, 28 * scale);
  context.fillStyle = colour('muted', place);
  context.font = `${12 * scale}px ${family}`;
  context.fillText(subtitle, 16 * scale, 48 * scale);
  canvas.toBlob((blob) => blob && save(blob, `${name}.png`));
}
