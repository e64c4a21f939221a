// Loads the style of what is not on the first page, before anything that imports this is drawn.

await new Promise((done) => {
  const link = document.createElement('link');
  Object.assign(link, { rel: 'stylesheet', href: new URL('../more.css', import.meta.url).href, onload: done, onerror: done });
  document.head.append(link);
});
