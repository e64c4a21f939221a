"""Renders the chart for tests."""

import functools
import json
import os
import pathlib
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHART = ROOT / "deploy/helm/analytics-service"
HELM = os.environ.get("HELM", "helm")
BIN = pathlib.Path(os.environ.get("BIN", "target/release"))
CI = sorted((CHART / "ci").glob("*-values.yaml"))
MINIMAL = {"database.existingSecret": "db", "kafka.brokers": "kafka:9092", "auth.existingSecret": "auth"}


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False)


@functools.cache
def output(path: pathlib.Path | None, values: str, options: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    files = ["-f", str(path)] if path else []
    return helm("template", "shop", str(CHART), *files, "--set-json", values, *options)


def attempt(path: pathlib.Path | None = None, options: tuple[str, ...] = (), **values: object):
    """Renders with a file of values or the least values, and with values whose names have __ for dots."""
    given = {} if path else dict(MINIMAL)
    given |= {name.replace("__", "."): value for name, value in values.items()}
    text = ",".join(f"{name}={json.dumps(value)}" for name, value in given.items())
    return output(path, text, options)


def objects(path: pathlib.Path | None = None, options: tuple[str, ...] = (), **values: object) -> list[dict]:
    rendered = attempt(path, options, **values)
    if rendered.returncode != 0:
        raise AssertionError(rendered.stderr)
    return [item for item in yaml.load_all(rendered.stdout, yaml.CSafeLoader) if item]


def find(items: list[dict], kind: str, suffix: str = "") -> dict:
    found = [item for item in items if item["kind"] == kind and item["metadata"]["name"].endswith(suffix)]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} objects {kind} *{suffix}")
    return found[0]


def pod_of(item: dict) -> dict | None:
    """Returns the pod (metadata and spec) of an object that has one."""
    match item["kind"]:
        case "Pod":
            return item
        case "Deployment" | "Job":
            return item["spec"]["template"]
        case "CronJob":
            return item["spec"]["jobTemplate"]["spec"]["template"]
    return None


def pods(items: list[dict]) -> dict[str, dict]:
    return {f"{item['kind']} {item['metadata']['name']}": pod for item in items if (pod := pod_of(item))}


def containers(pod: dict) -> list[dict]:
    return pod["spec"].get("initContainers", []) + pod["spec"]["containers"]


def env(container: dict) -> dict[str, object]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}
