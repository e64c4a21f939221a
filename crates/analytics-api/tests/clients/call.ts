// Calls every GET route with openapi-fetch and the types that openapi-typescript generated from the
// document.

import createClient from "openapi-fetch";
import type { paths } from "./schema";

declare const process: { argv: string[] };
const [base = "", token = "", metric = "", event = "", letter = ""] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: base, headers: { Authorization: `Bearer ${token}` } });

type Read = { [Path in keyof paths]: paths[Path] extends { get: object } ? Path : never }[keyof paths];

// Reads the first event of the stream.
async function firstEvent(): Promise<{ data?: unknown; error?: unknown; response: Response }> {
  const { data, error, response } = await client.GET("/api/live", { parseAs: "stream" });
  if (!data) return { error, response };
  const reader = data.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  const line = new TextDecoder().decode(value).split("\n").find((line) => line.startsWith("data: "));
  return { data: line && JSON.parse(line.slice("data: ".length)), response };
}

// This does not compile if a GET route is missing here.
const calls: Record<Read, () => Promise<{ data?: unknown; error?: unknown; response: Response }>> = {
  "/api/metrics/{type}": () => client.GET("/api/metrics/{type}", { params: { path: { type: metric } } }),
  "/api/metrics": () => client.GET("/api/metrics", { params: { query: { type: [metric], limit: 10 } } }),
  "/api/metrics/{type}/events": () =>
    client.GET("/api/metrics/{type}/events", { params: { path: { type: metric } } }),
  "/api/events": () => client.GET("/api/events", { params: { query: { limit: 2 } } }),
  "/api/events/{id}": () => client.GET("/api/events/{id}", { params: { path: { id: event } } }),
  "/api/me": () => client.GET("/api/me"),
  "/api/freshness": () => client.GET("/api/freshness"),
  "/api/live": firstEvent,
  "/api/dead-letters": () => client.GET("/api/dead-letters", { params: { query: { limit: 2 } } }),
  "/api/dead-letters/{id}": () => client.GET("/api/dead-letters/{id}", { params: { path: { id: letter } } }),
  "/api/proofs": () => client.GET("/api/proofs"),
  "/api/anomalies": () => client.GET("/api/anomalies", { params: { query: { state: "open" } } }),
  "/api/audit": () => client.GET("/api/audit", { params: { query: { action: "metric.adjust" } } }),
  "/api/metrics/{type}/series": () =>
    client.GET("/api/metrics/{type}/series", { params: { path: { type: metric }, query: { compare: "previous" } } }),
  "/api/metrics/series": () =>
    client.GET("/api/metrics/series", { params: { query: { type: [metric], interval: "week" } } }),
  "/api/rankings/products": () => client.GET("/api/rankings/products", { params: { query: { by: "views" } } }),
  "/api/rankings/sellers": () => client.GET("/api/rankings/sellers", { params: { query: { by: "orders" } } }),
  "/api/sellers": () => client.GET("/api/sellers", { params: { query: { prefix: "v" } } }),
  "/api/sellers/{vendor}/summary": () =>
    client.GET("/api/sellers/{vendor}/summary", { params: { path: { vendor: "v" } } }),
  "/api/sellers/{vendor}/orders/stats": () =>
    client.GET("/api/sellers/{vendor}/orders/stats", { params: { path: { vendor: "v" } } }),
  "/api/sellers/{vendor}/statements": () =>
    client.GET("/api/sellers/{vendor}/statements", { params: { path: { vendor: "v" } } }),
  "/api/sellers/{vendor}/statements/{month}": () =>
    client.GET("/api/sellers/{vendor}/statements/{month}", { params: { path: { vendor: "v", month: "2026-10" } } }),
  "/api/sellers/{vendor}/statements/{month}/page": () =>
    client.GET("/api/sellers/{vendor}/statements/{month}/page", {
      params: { path: { vendor: "v", month: "2026-10" } },
      parseAs: "text",
    }),
  "/api/statements/keys": () => client.GET("/api/statements/keys"),
  "/api/months": () => client.GET("/api/months"),
  "/api/overview": () => client.GET("/api/overview", { params: { query: { period: "7d" } } }),
  "/api/events/stats": () => client.GET("/api/events/stats", { params: { query: { interval: "day" } } }),
  "/api/arrivals/stats": () => client.GET("/api/arrivals/stats", { params: { query: { interval: "day" } } }),
  "/api/products": () => client.GET("/api/products", { params: { query: { prefix: "p" } } }),
  "/api/orders/{id}": () => client.GET("/api/orders/{id}", { params: { path: { id: "o-1" } } }),
};

for (const [path, call] of Object.entries(calls)) {
  const { data, error, response } = await call();
  if (response.status !== 200 || data === undefined) {
    throw new Error(`${path}: ${response.status} ${JSON.stringify(error)}`);
  }
  console.log(path, Object.keys(data as object).join(","));
}

// The fields of a response are typed.
const one = await client.GET("/api/metrics/{type}", { params: { path: { type: metric } } });
const value: number | null | undefined = one.data?.value;
if (value !== 1) throw new Error(`the value is ${value}`);
