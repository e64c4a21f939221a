// The smallest observable value: views that `use` it are drawn again when it changes.

import { useEffect, useReducer } from './vendor/htm-preact-3.1.1/standalone.module.js';

/** An observable value with `get`, `set`, `subscribe`, and the hook `use`. */
export function signal(initial) {
  let current = initial;
  const listeners = new Set();
  const subscribe = (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return {
    get: () => current,
    set(next) {
      if (Object.is(next, current)) return;
      current = next;
      for (const listener of [...listeners]) listener();
    },
    subscribe,
    use() {
      const [, draw] = useReducer((count) => count + 1, 0);
      useEffect(() => {
        const seen = current;
        const stop = subscribe(draw);
        if (!Object.is(seen, current)) draw();
        return stop;
      }, []);
      return current;
    },
  };
}
