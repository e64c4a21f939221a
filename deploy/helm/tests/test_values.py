"""The schema of the values refuses what the chart does not know, and says so."""

import json
import re
import unittest

import yaml
from support import CHART, ROOT, attempt

# Settings that have a value of their own in the chart, or that are secret.
ELSEWHERE = set(
    "DATABASE_URL KAFKA_BROKER KAFKA_GROUP_ID KAFKA_TOPICS KAFKA_EXTRA_TOPICS KAFKA_START KAFKA_PROPERTIES BASE_CURRENCY "
    "KAFKA_OAUTH_TOKEN_URL KAFKA_OAUTH_CLIENT_ID KAFKA_OAUTH_CLIENT_SECRET KAFKA_OAUTH_CLIENT_SECRET_FILE KAFKA_OAUTH_SCOPE "
    "KAFKA_OAUTH_CA_FILE "
    "BUSINESS_TIMEZONE INGEST_BIND API_BIND API_MODE EMBED_SIGNING_KEY JWT_SECRET JWT_PUBLIC_KEY JWT_JWKS JWT_ISSUER "
    "JWT_AUDIENCE METRICS_BUSINESS_TOKEN NOTIFY_WEBHOOK_URL NOTIFY_WEBHOOK_SECRET STATEMENT_SIGNING_KEY".split()
)


def leaves(values: dict, path: str = ""):
    for key, value in values.items():
        name = f"{path}__{key}" if path else key
        if isinstance(value, dict) and value:
            yield from leaves(value, name)
        else:
            yield name


class Values(unittest.TestCase):
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def refused(self, says: str, options: tuple[str, ...] = (), **values: object) -> None:
        rendered = attempt(options=options, **values)
        self.assertNotEqual(rendered.returncode, 0, values)
        self.assertIn(says, rendered.stderr)

    def test_unknown_keys_are_refused_in_every_map(self):
        maps = {name.rpartition("__")[0] for name in leaves(self.values)} | {"jobs__verify", "image"}
        for path in sorted(maps):
            # Values of these are named by somebody else.
            if re.search(r"(labels|resources__\w+)$", path) or path.endswith("resources"):
                continue
            with self.subTest(path):
                self.refused("notAKey", **{f"{path}__notAKey" if path else "notAKey": 1})

    def test_every_default_is_allowed_and_every_map_of_the_schema_is_closed(self):
        self.assertEqual(attempt().returncode, 0, attempt().stderr)

        def walk(schema: dict, path: str) -> None:
            if schema.get("type") == "object" and "properties" in schema:
                self.assertIs(schema.get("additionalProperties"), False, path)
            for key, value in schema.items():
                if isinstance(value, dict):
                    walk(value, f"{path}/{key}")

        walk(self.schema, "")

    def test_the_schema_and_the_defaults_have_the_same_keys(self):
        def keys(schema: dict) -> set[str]:
            schema = self.schema["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
            return schema.get("properties", {})

        def compare(values: dict, schema: dict, path: str) -> None:
            known = {
                key: value for key, value in keys(schema).items() if value.get("$ref") != "#/definitions/renamed"
            }
            if not known or path.endswith("settings") or (path.startswith(".jobs.") and path != ".jobs.defaults"):
                return
            self.assertEqual(set(values), set(known) - ({"global", "enabled"} if not path else set()), path)
            for key, value in values.items():
                if isinstance(value, dict):
                    compare(value, known[key], f"{path}.{key}")

        compare(self.values, self.schema, "")

    def test_every_setting_of_the_service_can_be_set(self):
        readme = (ROOT / "README.md").read_text()
        table = readme.split("| setting | default | what it is |")[1].split("\n\n")[0]
        names = set(re.findall(r"^\| `(\w+)` \|", table, re.M))
        self.assertEqual(set(self.schema["definitions"]["settings"]["properties"]), names - ELSEWHERE)
        self.assertLessEqual(ELSEWHERE, names)
        self.refused("DEDUPE_DAY", settings__DEDUPE_DAY=3)

    def test_what_is_required(self):
        for name in ("database__existingSecret", "kafka__brokers", "auth__existingSecret"):
            with self.subTest(name):
                self.refused(name.split("__")[1], **{name: ""})

    def test_renamed_keys_are_refused_with_the_key_that_is_meant(self):
        renamed = yaml.safe_load((CHART / "files/renamed.yaml").read_text())
        for old, new in renamed.items():
            with self.subTest(old):
                for value in (1, "text", {"a": 1}, False):
                    self.refused(f"{old} is not a value of this chart: use {new}", **{old.replace(".", "__"): value})

    def test_values_that_do_not_fit_together_are_refused(self):
        for values, says in [
            ({"kafka__sasl__mechanism": "PLAIN"}, "kafka.existingSecret must be set"),
            ({"kafka__existingSecret": "k", "kafka__sasl__mechanism": "OAUTHBEARER"}, "kafka.sasl.oauth.tokenUrl must be set"),
            ({"kafka__sasl__oauth__tokenUrl": "https://a.example/t"}, "kafka.sasl.oauth has no effect"),
            ({"kafka__sasl__oauth__tokenUrl": "https://u:p@a.example/t"}, "does not match pattern"),
            ({"kafka__existingSecret": "k", "kafka__sasl": {"mechanism": "OAUTHBEARER", "oauth": {
                "tokenUrl": "https://a.example/t", "caKey": "ca.crt"}}}, "kafka.tls.existingSecret must be set"),
            ({"kafka__existingSecret": "k", "kafka__properties": {"client.rack": "a"}}, "kafka.properties have no effect"),
            ({"kafka__tls": {"enabled": True, "clientCertificate": True}}, "kafka.tls.existingSecret must be set"),
            ({"kafka__existingSecret": "k", "kafka__tls__enabled": True}, "kafka.tls has no effect"),
            ({"kafka__existingSecret": "k", "kafka__tls": {
                "enabled": True, "existingSecret": "t", "clientCertificate": True}}, "kafka.tls has no effect"),
            ({"kafka__properties": {"sasl.password": "x"}}, "is a secret"),
            ({"settings": {"METRICS_BUSINESS": "token"}}, "metrics.business.existingSecret must be set"),
            ({"metrics__business__existingSecret": "a"}, "metrics.business.existingSecret has no effect"),
            ({"ingress__enabled": True}, "ingress.host must be set"),
            ({"httpRoute__enabled": True}, "httpRoute.parentRefs must name a Gateway"),
            ({"ingest__autoscaling": {"type": "hpa", "minReplicas": 9}}, "must not be above maxReplicas"),
            ({"ingest__autoscaling__type": "vpa"}, "value must be one of"),
            ({"image__digest": "sha256:short"}, "does not match pattern"),
            ({"jobs__verify__schedule": "hourly"}, "does not match pattern"),
            ({"baseCurrency": "euro"}, "does not match pattern"),
            ({"ingest__terminationGracePeriodSeconds": 5}, "minimum"),
        ]:
            with self.subTest(values):
                self.refused(says, **values)

    def test_secrets_have_no_value_that_would_store_them_in_the_release(self):
        for name in leaves(self.values):
            self.assertNotRegex(name.rpartition("__")[2], r"(?i)^(password|secret|token|url)$")


if __name__ == "__main__":
    unittest.main()
