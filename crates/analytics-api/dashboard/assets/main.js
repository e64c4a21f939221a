// The start of the dashboard.
const config = JSON.parse(document.querySelector('meta[name="analytics-config"]').content);
document.getElementById("app").textContent = `analytics ${config.version}`;
