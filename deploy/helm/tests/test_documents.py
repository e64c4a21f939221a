"""Documents agree with what they describe."""

import pathlib
import re
import shlex
import subprocess
import sys
import unittest

import yaml
from support import CHART, HELM, ROOT

OPERATIONS = ROOT / "docs/operations"
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yaml"))


def rules() -> list[dict]:
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


class Documents(unittest.TestCase):
    def test_the_readme_is_made_of_the_values(self):
        made = subprocess.run(
            [sys.executable, ROOT / "scripts/lib/chart_readme.py", CHART], capture_output=True, text=True, check=True)
        self.assertEqual((CHART / "README.md").read_text(), made.stdout, "run `scripts/chart readme`")

    def test_commands_of_documents_that_install_can_be_rendered(self):
        found = 0
        for path in (CHART / "README.md", *OPERATIONS.rglob("*.md")):
            text = path.read_text().replace("\\\n", " ")
            for line in re.findall(r"^helm .*(?:install|upgrade) .*$", text, re.M):
                words = shlex.split(line)
                options = [word for name, word in zip(words, words[1:]) if name == "--set"]
                arguments = [item for option in options for item in ("--set", option)]
                rendered = subprocess.run(
                    [HELM, "template", "analytics", CHART, *arguments], capture_output=True, text=True, check=False)
                self.assertEqual(rendered.returncode, 0, f"{path}: {line}: {rendered.stderr}")
                found += 1
        self.assertGreater(found, 1)

    def test_objects_of_the_release_in_commands_of_documents_exist(self):
        rendered = subprocess.run(
            [HELM, "template", "analytics", CHART, "--set", "database.existingSecret=a,kafka.brokers=k:9092,auth.existingSecret=a"],
            capture_output=True, text=True, check=True)
        items = [item for item in yaml.safe_load_all(rendered.stdout) if item]
        existing = {f"{item['kind'].lower()}/{item['metadata']['name']}" for item in items}
        found = 0
        for path in (CHART / "README.md", *OPERATIONS.rglob("*.md")):
            for command in re.findall(r"\bkubectl [^\n`]*", path.read_text()):
                for name in re.findall(r"\b(?:cronjob|deployment|job|service)/[a-z][a-z0-9-]*", command):
                    self.assertIn(name, existing, path.name)
                    found += 1
        self.assertGreater(found, 0)

    def test_links_lead_somewhere(self):
        documents = [CHART / "README.md", ROOT / "deploy/README.md", *OPERATIONS.rglob("*.md"), ROOT / "SECURITY.md"]
        for path in documents + [ROOT / "docs/RELEASING.md"]:
            for target in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
                if "://" not in target:
                    self.assertTrue((path.parent / target).exists(), f"{path.relative_to(ROOT)}: {target}")

    def test_every_alert_has_a_page_and_every_page_an_alert(self):
        pages = {alert["annotations"]["runbook"]: name for name, alert in alerts().items()}
        for page, name in pages.items():
            text = (ROOT / page).read_text()
            self.assertIn(name, text, page)
            for heading in ("## What it means", "## How to see it", "## What to do", "## What not to do"):
                self.assertIn(heading, text, page)
        existing = {str(path.relative_to(ROOT)) for path in (OPERATIONS / "alerts").glob("*.md")}
        self.assertEqual(existing, set(pages))

    def test_metrics_of_the_rules_exist_in_the_service(self):
        paths = [path for name in ("telemetry", "business_metrics") for path in (ROOT / "crates").glob(f"analytics-*/src/{name}.rs")]
        sources = "".join(path.read_text() for path in paths)
        recorded = {rule["record"] for rule in rules() if "record" in rule}
        for rule in rules():
            name = rule.get("alert") or rule["record"]
            # A name with a colon is that of a recorded rule.
            self.assertLessEqual(set(re.findall(r"\b\w+:[\w:]+", rule["expr"])), recorded, name)
            for metric in re.findall(r"\banalytics_\w+", rule["expr"]):
                # The registry of ingest adds its prefix; a histogram has series with suffixes.
                short = re.sub(r"_(bucket|count|sum)$", "", metric.removeprefix("analytics_ingest_"))
                self.assertIn(f'"{short}"', sources, f"{name}: {metric}")

    def test_versions_agree(self):
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        toolchain = re.search(r'^channel = "(.+)"', (ROOT / "rust-toolchain.toml").read_text(), re.M)[1]
        self.assertEqual(chart["appVersion"], version)
        self.assertIn(f"FROM rust:{toolchain}-", (ROOT / "docker/Dockerfile").read_text())

    def test_each_architecture_of_the_image_has_its_own_cache(self):
        text = (ROOT / "docker/Dockerfile").read_text()
        self.assertEqual(re.findall(r"^ARG TARGETARCH.*", text, re.M), ["ARG TARGETARCH"])
        self.assertEqual(set(re.findall(r"id=(cargo-target[^,]*)", text)), {"cargo-target-${TARGETARCH}"})

    def test_files_of_compose_exist(self):
        services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
        for name, service in services.items():
            for volume in service.get("volumes", []):
                source = volume.split(":")[0]
                if source.startswith("."):
                    self.assertTrue(pathlib.Path(ROOT / "docker" / source).exists(), f"{name}: {source}")

    def test_jobs_without_which_alerts_fire_are_repeated_where_compose_alerts(self):
        services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
        repeated = {tuple(service["command"]) for service in services.values()
                    if service.get("profiles") == services["prometheus"]["profiles"] and service.get("restart") == "always"}
        self.assertEqual(repeated, {("analytics-jobs", "anomalies"), ("analytics-jobs", "verify"), ("analytics-ingest", "audit")})

    def test_each_image_of_compose_is_built_by_one_service_and_never_pulled_by_others(self):
        services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
        built = [service["image"] for service in services.values() if "build" in service]
        self.assertEqual(sorted(built), ["analytics-service:local", "analytics-traffic:local"])
        for name, service in services.items():
            if service["image"] in built and "build" not in service:
                self.assertEqual(service["pull_policy"], "never", name)

    def test_jobs_of_compose_that_notify_are_given_the_webhook(self):
        services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
        for name in ("anomalies", "proofs", "verify"):
            settings = services[name]["environment"]
            self.assertIn("DATABASE_URL", settings, name)
            for setting in ("NOTIFY_WEBHOOK_URL", "NOTIFY_WEBHOOK_SECRET", "PUBLIC_URL"):
                self.assertIn(setting, settings, name)


if __name__ == "__main__":
    unittest.main()
