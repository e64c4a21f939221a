"""What the chart makes for Prometheus and Grafana."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

import yaml
from support import CHART, MINIMAL, ROOT, env, find, helm, objects, pods


class Monitoring(unittest.TestCase):
    def test_the_numbers_of_the_business_are_read_unless_they_are_off(self):
        def endpoints(**values: object) -> dict[str, dict]:
            monitor = find(objects(metrics__serviceMonitor__enabled=True, **values), "ServiceMonitor")
            return {endpoint["path"]: endpoint.get("authorization") for endpoint in monitor["spec"]["endpoints"]}

        self.assertEqual(endpoints(), {"/metrics": None})
        self.assertEqual(endpoints(settings={"METRICS_BUSINESS": "open"}), {"/metrics": None, "/metrics/business": None})
        secret = {"name": "numbers", "key": "METRICS_BUSINESS_TOKEN"}
        token = {"settings": {"METRICS_BUSINESS": "token"}, "metrics__business__existingSecret": "numbers"}
        authorization = {"type": "Bearer", "credentials": secret}
        self.assertEqual(endpoints(**token), {"/metrics": None, "/metrics/business": authorization})
        knows = {name.rpartition("service-")[2] for name, pod in pods(objects(adminApi__enabled=True, **token)).items()
                 if env(pod["spec"]["containers"][0]).get("METRICS_BUSINESS_TOKEN") == {"secretKeyRef": secret}}
        self.assertEqual(knows, {"api", "admin-api"})

    def test_alerts_are_those_of_prometheus_with_links_to_their_pages(self):
        def rendered(**values: object) -> list[dict]:
            return find(objects(metrics__prometheusRule__enabled=True, **values), "PrometheusRule")["spec"]["groups"]

        paths = sorted((ROOT / "deploy/prometheus/rules").glob("*.yaml"))
        for values, namespace in (({}, "default"), ({"metrics__prometheusRule__serversNamespace": "db|kafka"}, "db|kafka")):
            texts = [path.read_text().replace('namespace=~".*"', f'namespace=~"{namespace}"') for path in paths]
            groups = [group for text in texts for group in yaml.safe_load(text)["groups"]]
            self.assertEqual(rendered(**values), groups)
            self.assertIn(f'{{namespace=~"{namespace}"}}', str(groups))
        for base in ("https://git.example.com/a/blob/main", "https://git.example.com/a/blob/main/"):
            alerts = [rule for group in rendered(metrics__prometheusRule__runbookBaseUrl=base) for rule in group["rules"] if "alert" in rule]
            self.assertGreater(len(alerts), 20)
            for annotations in (alert["annotations"] for alert in alerts):
                self.assertEqual(annotations["runbook_url"], f"https://git.example.com/a/blob/main/{annotations['runbook']}")

    def test_dashboards_are_those_of_grafana_with_its_label(self):
        shown = {}
        for item in objects(metrics__dashboards__enabled=True):
            if item["metadata"].get("labels", {}).get("grafana_dashboard") == "1":
                shown |= item["data"]
        files = (ROOT / "deploy/grafana/dashboards").glob("*.json")
        self.assertEqual(shown, {path.name: path.read_text() for path in files})
        self.assertEqual(len(shown), 3)


class Copies(unittest.TestCase):
    """The chart as other tools than Helm copy its folder, or as Helm packages it."""

    ENABLED = ("metrics.prometheusRule.enabled=true", "metrics.dashboards.enabled=true")

    def template(self, chart: pathlib.Path, *options: str) -> subprocess.CompletedProcess[str]:
        given = [f"{name}={value}" for name, value in MINIMAL.items()] + list(options)
        return helm("template", "shop", str(chart), "--set", ",".join(given))

    def test_a_copy_without_symbolic_links_is_refused_where_it_would_render_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(shutil.copytree(CHART, f"{folder}/analytics-service", symlinks=True))
            for path in [path for path in copy.rglob("*") if path.is_symlink()]:
                path.unlink()
            self.assertEqual(self.template(copy).returncode, 0)
            for option in self.ENABLED:
                name = option.removesuffix(".enabled=true")
                self.assertIn(f"is missing from this copy of the chart, so that {name}", self.template(copy, option).stderr)

    def test_the_packaged_chart_holds_the_files(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(helm("package", str(CHART), "--destination", folder).returncode, 0)
            rendered = self.template(next(pathlib.Path(folder).glob("*.tgz")), *self.ENABLED)
            self.assertEqual(rendered.returncode, 0, rendered.stderr)
            self.assertEqual(rendered.stdout, self.template(CHART, *self.ENABLED).stdout)


if __name__ == "__main__":
    unittest.main()
