"""Processes that are started as the chart renders them: the migration, the wait for it, the probes, the query
of the autoscaler. Needs DATABASE_URL, an empty database; Kafka is not there, so ingest waits for it."""

import os
import re
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from support import BIN, ROOT, find, objects, pods
from test_settings import environment

ITEMS = objects(ingest__autoscaling__type="keda", kafka__brokers="127.0.0.1:1")
PODS = {name.partition(" shop-analytics-service-")[2]: pod for name, pod in pods(ITEMS).items()}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def variables(container: dict, **others: str) -> dict[str, str]:
    return {**environment(container), "DATABASE_URL": os.environ["DATABASE_URL"], **others}


def run(container: dict) -> subprocess.CompletedProcess[str]:
    command = container["command"]
    program = [str(BIN / command[0]), *command[1:]]
    return subprocess.run(program, env=variables(container), capture_output=True, text=True, cwd="/", check=False, timeout=60)


def start(container: dict) -> subprocess.Popen[bytes]:
    command = container["command"]
    return subprocess.Popen([str(BIN / command[0]), *command[1:]], env=variables(container), cwd="/", stderr=subprocess.DEVNULL)


def status(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def value(sql: str) -> str:
    psql = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", os.environ["DATABASE_URL"], "-c", sql]
    return subprocess.run(psql, capture_output=True, text=True, check=True).stdout.strip()


@unittest.skipUnless("DATABASE_URL" in os.environ, "DATABASE_URL is not set")
class Running(unittest.TestCase):
    def test_an_installation(self):
        migrate = next(pod for name, pod in PODS.items() if name.startswith("migrate-"))["spec"]["containers"][0]
        self.probes("api", "API_BIND", {"/health/live": 200, "/health/ready": 503, "/metrics": 200})
        wait = PODS["verify"]["spec"]["initContainers"][0]
        with start(wait) as waiting:
            time.sleep(2)
            self.assertIsNone(waiting.poll(), "it waits")
            migrated = run(migrate)
            self.assertEqual(migrated.returncode, 0, migrated.stderr)
            self.assertEqual(waiting.wait(timeout=30), 0)
        self.assertEqual(run(migrate).stdout, "the schema is up to date\n")
        self.probes("api", "API_BIND", {"/health/live": 200, "/health/ready": 200, "/metrics": 200})
        self.probes("ingest", "INGEST_BIND", {"/health/live": 200, "/health/ready": 503, "/metrics": 200})
        for job in ("verify", "verify-full", "maintain", "test-database"):
            done = run(PODS[job]["spec"]["containers"][0])
            self.assertEqual(done.returncode, 0, f"{job}: {done.stderr}")
        self.lag()
        self.documented_queries()

    def probes(self, name: str, bind: str, expected: dict[str, int]) -> None:
        container = PODS[name]["spec"]["containers"][0]
        probes = [container[kind]["httpGet"]["path"] for kind in ("livenessProbe", "readinessProbe")]
        self.assertLessEqual(set(probes), set(expected))
        port = free_port()
        program = [str(BIN / container["command"][0]), *container["command"][1:]]
        with subprocess.Popen(program, env=variables(container, **{bind: f"127.0.0.1:{port}"}), cwd="/",
                              stderr=subprocess.DEVNULL) as process:
            try:
                deadline, seen = time.monotonic() + 30, {}
                while seen != expected and time.monotonic() < deadline:
                    time.sleep(0.2)
                    try:
                        seen = {path: status(port, path) for path in expected}
                    except urllib.error.URLError:
                        continue
                self.assertEqual(seen, expected, name)
            finally:
                process.terminate()
                process.wait(timeout=15)
            self.assertEqual(process.returncode, 0, name)

    def documented_queries(self) -> None:
        found = 0
        for path in (ROOT / "docs/operations").rglob("*.md"):
            for block in re.findall(r"```sql\n(SELECT.*?)```", path.read_text(), re.S):
                with self.subTest(path.name):
                    value(block)
                    found += 1
        self.assertGreater(found, 1)

    def lag(self) -> None:
        query = find(ITEMS, "ScaledObject")["spec"]["triggers"][0]["metadata"]["query"]
        self.assertEqual(value(query), "0")
        value("""
            INSERT INTO ingest_topics (consumer_group, topic, partitions_at_first, partitions, wanted) VALUES
                ('analytics-ingest', 'order.created', 3, 3, true), ('analytics-ingest', 'retired', 1, 1, false),
                ('another', 'order.created', 1, 1, true);
            INSERT INTO ingest_offsets (consumer_group, topic, partition, next_offset, high_watermark, consumed_to) VALUES
                ('analytics-ingest', 'order.created', 0, 10, 25, NULL),
                -- Only markers of transactions follow.
                ('analytics-ingest', 'order.created', 1, 10, 12, 12),
                ('analytics-ingest', 'order.created', 2, 10, NULL, NULL),
                ('analytics-ingest', 'retired', 0, 0, 1000, NULL), ('another', 'order.created', 0, 0, 1000, NULL)""")
        self.assertEqual(value(query), "15")


if __name__ == "__main__":
    unittest.main()
