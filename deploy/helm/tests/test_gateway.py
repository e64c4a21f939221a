"""deploy/gateway/nginx.conf in front of the real API. Needs DATABASE_URL, and makes a database of its own."""

import http.client
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import tempfile
import time
import unittest

import yaml
from support import BIN, ROOT, objects, pods
from test_running import free_port, variables
from test_settings import certificates

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
CONFIG = (ROOT / "deploy/gateway/nginx.conf").read_text()


class Envoy(unittest.TestCase):
    def test_streams_end_when_they_are_silent_not_when_they_are_long(self):
        text = (ROOT / "deploy/gateway/envoy.yaml").read_text()
        routes = re.findall(r"- match: \{\w+: (\S+)\}\s+route: (\{.*\})", text)
        self.assertEqual([path for path, _ in routes], ["/analytics/api/live", "/analytics"])
        for path, route in routes:
            route = yaml.safe_load(route)
            self.assertEqual((route["timeout"], route["idle_timeout"]), ("0s", "60s"), path)


@unittest.skipUnless("DATABASE_URL" in os.environ, "DATABASE_URL is not set")
class Gateway(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        items = objects(api__settings={"API_BASE_PATH": "/analytics"})
        cls.env = variables(pods(items)["Deployment shop-analytics-service-api"]["spec"]["containers"][0])
        url = cls.env["DATABASE_URL"]
        subprocess.run(["psql", "-X", "-q", "-d", url, "-c", "CREATE DATABASE gateway"], check=True)
        cls.env["DATABASE_URL"] = url.rpartition("/")[0] + "/gateway"
        cls.api, cls.port = free_port(), free_port()
        cls.env["API_BIND"] = f"127.0.0.1:{cls.api}"
        subprocess.run([BIN / "analytics-jobs", "migrate"], env=cls.env, check=True, capture_output=True)
        token = [BIN / "analytics-jobs", "token", "--role", "admin"]
        cls.token = subprocess.run(token, env=cls.env, check=True, capture_output=True, text=True).stdout.strip()
        folder = pathlib.Path(tempfile.mkdtemp(prefix="analytics-gateway-"))
        site = CONFIG.replace("analytics-api:80", f"127.0.0.1:{cls.api}").replace("443", f"127.0.0.1:{cls.port}")
        site = site.replace("/etc/nginx/tls", str(certificates()))
        temporary = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\npid {folder}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n")
        cls.processes = [
            subprocess.Popen([BIN / "analytics-api"], env=cls.env, stderr=subprocess.DEVNULL, cwd="/"),
            subprocess.Popen([NGINX, "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL),
        ]
        cls.addClassCleanup(cls.stop)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if cls.get("/analytics/api/freshness").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise AssertionError("the gateway did not answer within 30 s")

    @classmethod
    def stop(cls) -> None:
        for process in cls.processes:
            process.terminate()
            process.wait(timeout=20)

    @classmethod
    def get(cls, path: str, **headers: str) -> http.client.HTTPResponse:
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", cls.port, context=context, timeout=10)
        given = {"Authorization": f"Bearer {cls.token}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers={"Host": "shop.example.com"} | given)
        return connection.getresponse()

    def test_the_api_and_its_pages_are_below_the_prefix(self):
        self.assertEqual(self.get("/analytics/api/me").status, 200)
        page = self.get("/analytics/").read().decode()
        asset = re.search(r'(?:href|src)="([^"]*assets/[^"]+)"', page)[1]
        self.assertEqual(self.get(f"/analytics/{asset.removeprefix('/analytics/')}").status, 200)

    def test_metrics_probes_and_other_paths_are_not(self):
        for path in ("/metrics", "/health/live", "/health/ready", "/api/me", "/"):
            self.assertEqual(self.get(path).status, 404, path)
        for path in ("/analytics/metrics", "/analytics/health/ready", "/analytics/../metrics"):
            self.assertNotEqual(self.get(path).status, 200, path)

    def test_the_token_is_that_of_the_request(self):
        self.assertEqual(self.get("/analytics/api/me", Authorization="").status, 401)
        forged = self.get("/analytics/api/me", Authorization="", X_Forwarded_Access_Token=self.token)
        self.assertEqual(forged.status, 401)

    def test_nothing_can_be_written(self):
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=10)
        connection.request("POST", "/analytics/api/metrics/upsert", body='{"type":"t","value":1,"reason":"r"}', headers={
            "Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        self.assertEqual(connection.getresponse().status, 403)

    def test_the_live_stream_is_not_buffered(self):
        began = time.monotonic()
        stream = self.get("/analytics/api/live")
        self.assertEqual(stream.status, 200)
        self.assertTrue(stream.readline().startswith(b"id:"))
        self.assertLess(time.monotonic() - began, 5)
        stream.close()

    def test_one_address_is_limited(self):
        seen = [self.get("/analytics/api/me").status for _ in range(160)]
        self.assertIn(429, seen)
        self.assertEqual(set(seen), {200, 429})
        time.sleep(2)


if __name__ == "__main__":
    unittest.main()
