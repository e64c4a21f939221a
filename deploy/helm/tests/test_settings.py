"""The real binaries accept what the chart renders."""

import functools
import pathlib
import re
import subprocess
import tempfile
import unittest

from support import BIN, CHART, CI, ROOT, attempt, containers, env, objects, pods

SECRETS = {
    "JWT_SECRET": "a secret of thirty-two bytes or more",
    "EMBED_SIGNING_KEY": "another secret of thirty-two bytes",
    "METRICS_BUSINESS_TOKEN": "a token of sixteen bytes or more",
    "NOTIFY_WEBHOOK_URL": "https://hooks.example.com/T0/B0",
    "NOTIFY_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "KAFKA_USERNAME": "analytics",
    "KAFKA_PASSWORD": "a=b,c",
    "KAFKA_OAUTH_CLIENT_ID": "analytics",
    "KAFKA_PROPERTIES": "security.protocol=SASL_SSL\nsasl.mechanisms=PLAIN\nsasl.username=u\nsasl.password=p\n",
    "DATABASE_URL": "postgresql://analytics:secret@127.0.0.1:1/analytics",
}
# Jobs whose commands this version does not have.
MISSING = re.findall(r"^(\w+): \{command: \[([^\]]*)\].* missing: true", (CHART / "templates/_jobs.tpl").read_text(), re.M)


@functools.cache
def certificates() -> pathlib.Path:
    """Returns a folder with an authority, a certificate, a key, and the secret of an OAuth client."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="analytics-chart-"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "1",
         "-keyout", folder / "tls.key", "-out", folder / "tls.crt"], check=True, capture_output=True)
    (folder / "ca.crt").write_bytes((folder / "tls.crt").read_bytes())
    (folder / "client-secret").write_text("a secret")
    return folder


def environment(container: dict) -> dict[str, str]:
    """Returns the environment as the kubelet makes it, with sample secrets, and files of this machine."""
    made: dict[str, str] = {}
    for entry in container["env"]:
        name, value = entry["name"], entry.get("value")
        if value is None:
            # JWT_PUBLIC_KEY is the alternative of JWT_SECRET.
            if name not in SECRETS:
                assert entry["valueFrom"]["secretKeyRef"]["optional"], name
                continue
            value = SECRETS[name]
        value = re.sub(r"\$\((\w+)\)", lambda match: made[match[1]], value)
        made[name] = re.sub("/etc/analytics/kafka-(tls|oauth)", str(certificates()), value)
    if "JWT_JWKS" in made:
        made["JWT_JWKS"] = str(ROOT / "crates/shared-auth/tests/keys/jwks.json")
    return made


@functools.cache
def checked(command: tuple[str, ...], variables: tuple[tuple[str, str], ...]) -> subprocess.CompletedProcess[str]:
    program = [str(BIN / command[0]), *command[1:], "--check-settings"]
    return subprocess.run(program, env=dict(variables), capture_output=True, text=True, cwd="/", check=False)


def help_of(command: list[str]) -> int:
    """Returns 0 if the command exists."""
    return subprocess.run([str(BIN / command[0]), *command[1:], "--help"], capture_output=True, cwd="/", check=False).returncode


class Settings(unittest.TestCase):
    def test_rendered_settings_can_be_used_and_commands_exist(self):
        for path in CI:
            for name, pod in pods(objects(path)).items():
                for container in containers(pod):
                    command = tuple(container["command"])
                    with self.subTest(f"{path.name}: {name}: {' '.join(command)}"):
                        result = checked(command, tuple(sorted(environment(container).items())))
                        self.assertEqual((result.returncode, result.stdout), (0, "the settings can be used\n"), result.stderr)
                        self.assertNotIn("is not a setting", result.stderr)

    def test_an_invalid_setting_is_noticed(self):
        pod = pods(objects(settings={"DEDUPE_DAYS": "soon"}))["Deployment shop-analytics-service-ingest"]
        result = checked(("analytics-ingest",), tuple(sorted(environment(pod["spec"]["containers"][0]).items())))
        self.assertIn("DEDUPE_DAYS", result.stderr)

    def test_jobs_of_missing_commands_are_refused_and_exist_no_sooner_than_their_commands(self):
        for name, command in MISSING:
            with self.subTest(name):
                refused = attempt(**{f"jobs__{name}__enabled": True})
                self.assertIn(f"jobs.{name}.enabled must be false", refused.stderr)
                self.assertNotEqual(help_of(command.split(", ")), 0, f"{command} exists: remove `missing: true`, and consider the default")

    def test_no_secret_is_written_into_an_object(self):
        for path in CI:
            for pod in pods(objects(path)).values():
                for container in containers(pod):
                    for name, value in env(container).items():
                        if name in SECRETS and isinstance(value, str):
                            self.assertNotRegex(value, r"password=(?!\$\()", f"{path.name} {name}")


if __name__ == "__main__":
    unittest.main()
