"""What the templates make of values."""

import os
import re
import subprocess
import unittest

import yaml
from support import CHART, CI, ROOT, attempt, containers, env, find, objects, pods


def secret_of(container: dict) -> str:
    return env(container)["DATABASE_URL"]["secretKeyRef"]["name"]


def pages() -> list[str]:
    """Returns the paths of the dashboard's pages, and of those for other sites."""
    source = (ROOT / "crates/analytics-api/src/dashboard/mod.rs").read_text()
    lists = re.findall(r"^const (PAGES|EMBEDDED): \[&str; (\d+)\] = \[(.*?)\];", source, re.M | re.S)
    found = [path for _, _, text in lists for path in re.findall(r'"([^"]*)"', text)]
    assert [name for name, _, _ in lists] == ["PAGES", "EMBEDDED"] and len(found) == sum(int(count) for _, count, _ in lists)
    return [re.sub(r"\{\w+\}", "v-1", path) for path in found]


class EveryShape(unittest.TestCase):
    def each(self):
        for path in CI:
            with self.subTest(path.name):
                yield objects(path)

    def test_pods_are_restricted_and_have_no_token(self):
        for items in self.each():
            for name, pod in pods(items).items():
                spec = pod["spec"]
                self.assertIs(spec["automountServiceAccountToken"], False, name)
                self.assertIs(spec["securityContext"]["runAsNonRoot"], True, name)
                self.assertEqual(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", name)
                for container in containers(pod):
                    context = container["securityContext"]
                    self.assertIs(context["allowPrivilegeEscalation"], False, name)
                    self.assertIs(context["readOnlyRootFilesystem"], True, name)
                    self.assertEqual(context["capabilities"], {"drop": ["ALL"]}, name)
                    self.assertIn("memory", container["resources"]["limits"], name)
            for item in items:
                self.assertFalse(item["kind"] == "Secret" or "Role" in item["kind"], item["kind"])

    def test_names_are_unique_and_short_enough(self):
        for items in self.each():
            names = [(item["kind"], item["metadata"]["name"]) for item in items]
            self.assertEqual(len(names), len(set(names)))
        long = objects(fullnameOverride="a" * 40, adminApi__enabled=True, networkPolicy__enabled=True)
        for item in long:
            limit = 52 if item["kind"] == "CronJob" else 63
            self.assertLessEqual(len(item["metadata"]["name"]), limit, item["metadata"]["name"])

    def test_selectors_find_the_pods_of_one_component(self):
        for items in self.each():
            labels = {name: pod["metadata"]["labels"] for name, pod in pods(items).items()}
            for item in items:
                spec = item.get("spec", {})
                match item["kind"]:
                    case "Service":
                        selector = spec["selector"]
                    case "Deployment" | "PodDisruptionBudget" | "PodMonitor":
                        selector = spec["selector"]["matchLabels"]
                    case "NetworkPolicy":
                        selector = spec["podSelector"]["matchLabels"]
                    case _:
                        continue
                found = [name for name, of_pod in labels.items() if selector.items() <= of_pod.items()]
                components = {labels[name]["app.kubernetes.io/component"] for name in found}
                self.assertLessEqual(len(components), 1, item["metadata"]["name"])
                if item["kind"] != "NetworkPolicy":
                    self.assertEqual(len(found), 1, item["metadata"]["name"])

    def test_every_named_port_exists(self):
        for items in self.each():
            for name, pod in pods(items).items():
                for container in pod["spec"]["containers"]:
                    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
                    for probe in ("livenessProbe", "readinessProbe"):
                        if probe in container:
                            self.assertIn(container[probe]["httpGet"]["port"], ports, name)
                    for setting, bind in env(container).items():
                        if setting.endswith("_BIND"):
                            self.assertEqual([int(bind.rpartition(":")[2])], list(ports.values()), name)

    def test_environments_have_no_variable_twice(self):
        for items in self.each():
            for name, pod in pods(items).items():
                for container in containers(pod):
                    names = [entry["name"] for entry in container["env"]]
                    self.assertEqual(len(names), len(set(names)), name)


class Workloads(unittest.TestCase):
    def test_roles_in_the_database(self):
        items = objects(next(path for path in CI if path.name == "roles-values.yaml"))
        roles = {name.rpartition("service-")[2]: secret_of(pod["spec"]["containers"][0]) for name, pod in pods(items).items()}
        migrate = next(name for name in roles if name.startswith("migrate-"))
        expected = {
            "ingest": "ingest", "api": "replica", "admin-api": "admin", "verify": "admin", "verify-full": "admin",
            "maintain": "owner", "audit": "ingest", "anomalies": "admin", "weekly": "admin", "months": "admin", migrate: "owner", "test-database": "replica",
        }
        self.assertEqual(roles, {name: f"analytics-{role}" for name, role in expected.items()})

    def test_only_the_admin_api_writes_and_no_gateway_leads_to_it(self):
        items = objects(adminApi__enabled=True, ingress__enabled=True, ingress__host="a.example", httpRoute__enabled=True,
                        httpRoute__parentRefs=[{"name": "public"}])
        modes = {name: env(pod["spec"]["containers"][0]).get("API_MODE") for name, pod in pods(items).items()}
        self.assertEqual([name for name, mode in modes.items() if mode == "read-write"], ["Deployment shop-analytics-service-admin-api"])
        rule = find(items, "Ingress")["spec"]["rules"][0]
        backends = {path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
        backends |= {backend["name"] for rule in find(items, "HTTPRoute")["spec"]["rules"] for backend in rule["backendRefs"]}
        self.assertEqual(backends, {"shop-analytics-service-api"})

    def test_gateways_lead_to_every_page_and_neither_to_metrics_nor_to_probes(self):
        def reached(path: str, **values: object) -> set[str]:
            items = objects(ingress__enabled=True, ingress__host="a.example", httpRoute__enabled=True,
                            httpRoute__parentRefs=[{"name": "public"}], **values)
            rules = [("Ingress", rule["path"], rule["pathType"])
                     for rule in find(items, "Ingress")["spec"]["rules"][0]["http"]["paths"]]
            rules += [("HTTPRoute", match["path"]["value"], match["path"]["type"].removeprefix("Path"))
                      for rule in find(items, "HTTPRoute")["spec"]["rules"] for match in rule["matches"]]
            return {kind for kind, value, how in rules
                    if path == value or (how == "Prefix" and f"{path}/".startswith(f"{value.rstrip('/')}/"))}

        based = {"api__settings": {"API_BASE_PATH": "/analytics"}}
        for path in (*pages(), "/api/metrics/total_views", "/api/live", "/assets/1/main.js"):
            self.assertEqual(reached(path), {"Ingress", "HTTPRoute"}, path)
            self.assertEqual(reached("/analytics" + path.rstrip("/"), **based), {"Ingress", "HTTPRoute"}, path)
        for path in ("/metrics", "/metrics/business", "/health/live", "/health/ready"):
            self.assertFalse(reached(path), path)
            self.assertFalse(reached(path, **based), path)

    def test_the_route_sets_no_limit_to_the_duration_of_streams(self):
        def timeouts(**values: object) -> dict[str, object]:
            route = find(objects(httpRoute__enabled=True, httpRoute__parentRefs=[{"name": "public"}], **values), "HTTPRoute")
            # The most that a rule may have before version 1.2 of the Gateway API.
            self.assertLessEqual(max(len(rule["matches"]) for rule in route["spec"]["rules"]), 8)
            return {match["path"]["value"]: rule.get("timeouts") for rule in route["spec"]["rules"] for match in rule["matches"]}

        none = {"request": "0s"}
        self.assertEqual([timeouts()[path] for path in ("/api/live", "/api")], [none, none])
        limited = timeouts(httpRoute__requestTimeout="90s", api__settings={"API_BASE_PATH": "/analytics"})
        self.assertEqual(limited, {"/analytics/api/live": none, "/analytics": {"request": "90s"}})
        self.assertEqual(set(map(str, timeouts(httpRoute__requestTimeout="").values())), {"None"})

    def test_autoscalers_set_the_replicas(self):
        self.assertEqual(find(objects(), "Deployment", "-ingest")["spec"]["replicas"], 2)
        for kind, name in (("hpa", "HorizontalPodAutoscaler"), ("keda", "ScaledObject")):
            items = objects(ingest__autoscaling__type=kind)
            self.assertNotIn("replicas", find(items, "Deployment", "-ingest")["spec"])
            self.assertIn("replicas", find(items, "Deployment", "-api")["spec"])
            target = find(items, name)["spec"]["scaleTargetRef"]["name"]
            self.assertEqual(target, find(items, "Deployment", "-ingest")["metadata"]["name"])

    def test_keda_counts_the_lag_of_the_group_with_the_secret_of_the_reader(self):
        items = objects(ingest__autoscaling__type="keda", kafka__groupId="o'brien", database__readExistingSecret="reader")
        metadata = find(items, "ScaledObject")["spec"]["triggers"][0]["metadata"]
        self.assertIn("consumer_group = 'o''brien'", metadata["query"])
        self.assertEqual(metadata["targetQueryValue"], "50000")
        self.assertEqual(find(items, "TriggerAuthentication")["spec"]["secretTargetRef"][0]["name"], "reader")

    def test_jobs_that_find_something_know_the_webhook_and_nothing_else_does(self):
        items = objects(notify__existingSecret="hook", jobs__weekly__enabled=True, networkPolicy__enabled=True)
        knows, may = set(), set()
        for name, pod in pods(items).items():
            for container in containers(pod):
                if "NOTIFY_WEBHOOK_URL" in {entry["name"] for entry in container["env"]}:
                    knows.add(name.rpartition("service-")[2])
        for policy in (item for item in items if item["kind"] == "NetworkPolicy"):
            if {"ports": [{"port": 443, "protocol": "TCP"}]} in policy["spec"]["egress"]:
                may.add(policy["metadata"]["name"].rpartition("service-")[2])
        self.assertEqual(knows, {"verify", "verify-full", "anomalies", "weekly"})
        self.assertEqual(may, knows)
        refused = attempt(jobs__weekly__enabled=True)
        self.assertIn("notify.existingSecret must be set if jobs.weekly.enabled", refused.stderr)

    def test_jobs_do_not_overlap_and_end(self):
        jobs = [item for item in objects() if item["kind"] == "CronJob"]
        names = {item["metadata"]["name"].removeprefix("shop-analytics-service-") for item in jobs}
        self.assertEqual(names, {"verify", "verify-full", "maintain", "audit", "anomalies", "months"})
        for job in jobs:
            self.assertEqual(job["spec"]["concurrencyPolicy"], "Forbid")
            self.assertEqual(job["spec"]["jobTemplate"]["metadata"]["labels"], job["metadata"]["labels"])
            self.assertGreater(job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"], 0)
        one = objects(jobs__verify={"enabled": True, "schedule": "1 2 3 4 5", "priorityClassName": "low"})
        spec = find(one, "CronJob", "-verify")["spec"]
        self.assertEqual(spec["schedule"], "1 2 3 4 5")
        self.assertEqual(spec["jobTemplate"]["spec"]["template"]["spec"]["priorityClassName"], "low")
        self.assertNotIn("priorityClassName", find(one, "CronJob", "-maintain")["spec"]["jobTemplate"]["spec"]["template"]["spec"])

    def test_statements_of_the_last_months_are_closed_and_restated_every_day(self):
        spec = find(objects(jobs__statements={"enabled": True}), "CronJob", "-statements")["spec"]
        self.assertRegex(spec["schedule"], r"^\d+ \d+ \* \* \*$")
        container = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual(container["command"], ["analytics-jobs", "statements", "close"], "without --month")

    def test_an_image_is_named_by_digest_or_tag(self):
        def image(**values: object) -> str:
            return find(objects(**values), "Deployment", "-api")["spec"]["template"]["spec"]["containers"][0]["image"]

        digest = "sha256:" + "0" * 64
        self.assertEqual(image(), "analytics-service:0.1.0")
        self.assertEqual(image(image__tag="1.2.3", image__repository="r.example/a"), "r.example/a:1.2.3")
        self.assertEqual(image(image__tag="1.2.3", image__digest=digest), f"analytics-service@{digest}")

    def test_kafka_is_given_all_properties_by_a_secret_or_those_of_the_values(self):
        def properties(**values: object) -> object:
            container = find(objects(**values), "Deployment", "-ingest")["spec"]["template"]["spec"]["containers"][0]
            return env(container).get("KAFKA_PROPERTIES")

        self.assertIsNone(properties())
        self.assertEqual(properties(kafka__existingSecret="k"), {"secretKeyRef": {"name": "k", "key": "KAFKA_PROPERTIES"}})
        self.assertEqual(
            properties(kafka__existingSecret="k", kafka__sasl__mechanism="PLAIN"),
            "sasl.mechanisms=PLAIN\nsasl.password=$(KAFKA_PASSWORD)\nsasl.username=$(KAFKA_USERNAME)\nsecurity.protocol=SASL_PLAINTEXT")
        self.assertEqual(
            properties(kafka__tls__enabled=True), "security.protocol=SSL\nssl.ca.location=/etc/ssl/certs/ca-certificates.crt")

    def test_tls_may_be_a_boolean(self):
        host = {"ingress__enabled": True, "ingress__host": "a.example"}
        for value in (True, False):
            self.assertEqual(objects(kafka__tls=value, ingress__tls=value, **host),
                             objects(kafka__tls__enabled=value, ingress__tls__enabled=value, **host))
        self.assertIn("tls", find(objects(ingress__tls=True, **host), "Ingress")["spec"])

    def test_tokens_for_kafka_are_requested_with_a_secret_in_a_file(self):
        values = {"kafka__existingSecret": "k", "kafka__sasl": {"mechanism": "OAUTHBEARER", "oauth": {"tokenUrl": "https://a.example/t"}}}
        items = objects(**values)
        for kind, name in (("Deployment", "-ingest"), ("CronJob", "-audit")):
            spec = find(items, kind, name)["spec"]
            pod = spec["jobTemplate"]["spec"]["template"]["spec"] if kind == "CronJob" else spec["template"]["spec"]
            made = env(pod["containers"][0])
            self.assertEqual(made["KAFKA_PROPERTIES"], "sasl.mechanisms=OAUTHBEARER\nsecurity.protocol=SASL_PLAINTEXT")
            self.assertEqual(made["KAFKA_OAUTH_TOKEN_URL"], "https://a.example/t")
            self.assertEqual(made["KAFKA_OAUTH_CLIENT_ID"], {"secretKeyRef": {"name": "k", "key": "username"}})
            self.assertEqual(made["KAFKA_OAUTH_CLIENT_SECRET_FILE"], "/etc/analytics/kafka-oauth/client-secret")
            self.assertFalse({"KAFKA_OAUTH_SCOPE", "KAFKA_OAUTH_CA_FILE", "KAFKA_PASSWORD"} & set(made))
            secret = next(volume["secret"] for volume in pod["volumes"] if volume["name"] == "kafka-oauth")
            self.assertEqual((secret["secretName"], secret["items"]), ("k", [{"key": "password", "path": "client-secret"}]))
            mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
            self.assertEqual(mounts["kafka-oauth"], "/etc/analytics/kafka-oauth")
        self.assertNotIn("kafka-oauth", str(find(items, "Deployment", "-api")))

    def test_large_numbers_are_written_out(self):
        items = objects(settings={"DEAD_LETTER_MAX_TOTAL_BYTES": 5368709120, "REDACT_DEAD_LETTERS": False})
        settings = env(find(items, "Deployment", "-ingest")["spec"]["template"]["spec"]["containers"][0])
        self.assertEqual(settings["DEAD_LETTER_MAX_TOTAL_BYTES"], "5368709120")
        self.assertEqual(settings["REDACT_DEAD_LETTERS"], "false")


    def test_extra_variables_replace_nothing_that_the_chart_sets(self):
        for workload in ("api", "ingest", "migrations", "jobs__defaults"):
            for name in ("DATABASE_URL", "BASE_CURRENCY"):
                refused = attempt(**{f"{workload}__extraEnv": [{"name": name, "value": "x"}]})
                self.assertRegex(refused.stderr, f"extraEnv of [a-z-]+ must not have {name}")
        refused = attempt(api__extraEnv=[{"name": "API_MODE", "value": "read-write"}])
        self.assertIn("extraEnv of api must not have API_MODE", refused.stderr)
        items = objects(api__extraEnv=[{"name": "TZ", "value": "UTC"}])
        self.assertEqual(env(find(items, "Deployment", "-api")["spec"]["template"]["spec"]["containers"][0])["TZ"], "UTC")


class Migrations(unittest.TestCase):
    def test_each_revision_has_its_own_job(self):
        def name(**values: object) -> str:
            return next(item["metadata"]["name"] for item in objects(**values) if item["kind"] == "Job")

        self.assertRegex(name(), r"-migrate-1-[0-9a-f]{8}$")
        # Where every revision is 1, what would change the Job changes its name.
        self.assertEqual(name(), name(api__replicas=3))
        self.assertNotEqual(name(), name(image__tag="2"))

    def test_a_hook_needs_nothing_of_its_release(self):
        items = objects(migrations__mode="hook")
        job = find(items, "Job")
        self.assertEqual(job["metadata"]["annotations"]["helm.sh/hook"], "pre-install,pre-upgrade")
        self.assertNotIn("serviceAccountName", job["spec"]["template"]["spec"])
        made = {item["metadata"]["name"] for item in items if item["kind"] in ("Secret", "ConfigMap", "ServiceAccount")}
        mentioned = re.findall(r"'name': '([^']+)'", str(job["spec"]["template"]["spec"]))
        self.assertFalse(made & set(mentioned))
        given = objects(migrations__mode="hook", serviceAccount={"create": False, "name": "mine"})
        self.assertEqual(find(given, "Job")["spec"]["template"]["spec"]["serviceAccountName"], "mine")

    def test_a_hook_may_reach_the_database_before_its_release_exists(self):
        def policy(mode: str) -> dict:
            items = objects(migrations__mode=mode, networkPolicy__enabled=True)
            return next(item for item in items if item["kind"] == "NetworkPolicy"
                        and item["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "migrate")

        job = find(objects(migrations__mode="hook"), "Job")["metadata"]["annotations"]
        hook, ordinary = policy("hook"), policy("job")
        annotations = hook["metadata"]["annotations"]
        self.assertEqual(annotations["helm.sh/hook"], job["helm.sh/hook"])
        self.assertLess(int(annotations["helm.sh/hook-weight"]), int(job["helm.sh/hook-weight"]))
        self.assertEqual(annotations["helm.sh/hook-delete-policy"], "before-hook-creation")
        self.assertNotIn("annotations", ordinary["metadata"])
        # Helm refuses to install an object that exists already, as one that a hook has left.
        self.assertNotEqual(hook["metadata"]["name"], ordinary["metadata"]["name"])
        self.assertEqual(hook["spec"], ordinary["spec"])

    def test_jobs_wait_for_the_schema_unless_a_hook_has_made_it(self):
        for mode, waits in (("job", True), ("off", True), ("hook", False)):
            items = objects(migrations__mode=mode, adminApi__enabled=True)
            self.assertEqual(any(item["kind"] == "Job" for item in items), mode != "off")
            for name, pod in pods(items).items():
                with self.subTest(f"{mode}: {name}"):
                    # Deployments wait by themselves.
                    self.assertEqual("initContainers" in pod["spec"], waits and name.startswith(("CronJob", "Pod")))
                    for wait in pod["spec"].get("initContainers", []):
                        self.assertEqual(wait["command"], ["analytics-jobs", "migrate", "--wait"])
                        self.assertEqual(secret_of(wait), secret_of(pod["spec"]["containers"][0]))

    def test_the_test_of_the_release_is_kept_for_its_logs(self):
        annotations = find(objects(), "Pod", "-test-database")["metadata"]["annotations"]
        self.assertEqual(annotations["helm.sh/hook"], "test")
        self.assertEqual(annotations["helm.sh/hook-delete-policy"], "before-hook-creation")

    def test_old_pods_go_on_until_new_ones_are_ready(self):
        for item in objects(adminApi__enabled=True):
            if item["kind"] == "Deployment":
                self.assertEqual(item["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0)


class Networks(unittest.TestCase):
    def policies(self, **values: object) -> dict[str, dict]:
        items = objects(networkPolicy__enabled=True, **values)
        return {item["metadata"]["name"].removeprefix("shop-analytics-service-"): item["spec"]
                for item in items if item["kind"] == "NetworkPolicy"}

    @staticmethod
    def ports(policy: dict) -> list[int]:
        return [port["port"] for rule in policy["egress"] for port in rule["ports"]]

    def test_only_ingest_and_its_audit_reach_kafka(self):
        policies = self.policies(kafka__brokers="k-1:9093,k-2:9094,k-3", adminApi__enabled=True)
        for name in ("ingest", "audit"):
            self.assertEqual(self.ports(policies[name]), [53, 53, 5432, 9093, 9094, 9092])
        for name in ("api", "admin-api", "verify", "migrate", "test"):
            self.assertEqual(self.ports(policies[name]), [53, 53, 5432], name)
            if name not in ("api", "admin-api"):
                self.assertNotIn("ingress", policies[name])

    def test_the_api_reaches_the_published_keys(self):
        for url, port in (("https://a.example/keys", 443), ("http://a.example/keys", 80), ("https://a.example:8443/k", 8443)):
            policies = self.policies(auth__jwksUrl=url)
            self.assertEqual(self.ports(policies["api"])[-1], port)
            self.assertNotIn(port, self.ports(policies["ingest"]))

    def test_only_ingest_and_its_audit_reach_the_token_endpoint(self):
        sasl = {"mechanism": "OAUTHBEARER", "oauth": {"tokenUrl": "https://a.example:8443/t"}}
        policies = self.policies(kafka__sasl=sasl, kafka__existingSecret="k")
        for name, policy in policies.items():
            self.assertEqual(8443 in self.ports(policy), name in ("ingest", "audit"), name)

    def test_prometheus_reaches_every_api_that_it_reads(self):
        prometheus = [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
        policies = self.policies(adminApi__enabled=True, networkPolicy__metricsFrom=prometheus,
                                 networkPolicy__apiFrom=[{"podSelector": {"matchLabels": {"app": "gateway"}}}])
        for name in ("api", "admin-api", "ingest"):
            self.assertEqual(policies[name]["ingress"][-1]["from"], prometheus, name)
        self.assertNotIn("from", self.policies(networkPolicy__metricsFrom=prometheus)["api"]["ingress"][0])

    def test_prometheus_must_be_named_where_an_api_is_closed_to_it(self):
        closed = [{"adminApi__enabled": True}, {"networkPolicy__apiFrom": [{"podSelector": {}}]}]
        for values in closed:
            refused = attempt(networkPolicy__enabled=True, metrics__serviceMonitor__enabled=True, **values)
            self.assertIn("networkPolicy.metricsFrom must name Prometheus", refused.stderr)
            self.assertEqual(attempt(networkPolicy__enabled=True, **values).returncode, 0)
            self.assertEqual(attempt(metrics__serviceMonitor__enabled=True, **values).returncode, 0)
        self.assertEqual(attempt(networkPolicy__enabled=True, metrics__serviceMonitor__enabled=True).returncode, 0)

    def test_the_admin_api_is_open_to_its_namespace_only(self):
        policies = self.policies(adminApi__enabled=True)
        self.assertEqual(policies["admin-api"]["ingress"][0]["from"], [{"podSelector": {}}])
        self.assertNotIn("from", policies["api"]["ingress"][0])


class Versions(unittest.TestCase):
    @unittest.skipUnless("HELM3" in os.environ, "HELM3 is not set")
    def test_helm_3_renders_the_same(self):
        for path in CI:
            command = [os.environ["HELM3"], "template", "shop", CHART, "-f", path, "--kube-version", "1.30.0"]
            rendered = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            old = [item for item in yaml.load_all(rendered, yaml.CSafeLoader) if item]
            new = objects(path, options=("--kube-version", "1.30.0"))
            self.assertEqual(sorted(old, key=str), sorted(new, key=str), path.name)

    def test_older_versions_of_kubernetes(self):
        old = find(objects(options=("--kube-version", "1.27.0")), "Deployment", "-api")
        new = find(objects(), "Deployment", "-api")
        self.assertNotIn("lifecycle", old["spec"]["template"]["spec"]["containers"][0])
        self.assertIn("lifecycle", new["spec"]["template"]["spec"]["containers"][0])
        self.assertIn("1.27 or newer", attempt(options=("--kube-version", "1.26.0")).stderr)


if __name__ == "__main__":
    unittest.main()
