"""Reads objects, and prints the pods that their controllers would make."""

import sys

import yaml
from support import pods

for name, pod in pods([item for item in yaml.safe_load_all(sys.stdin) if item]).items():
    metadata = {"name": name.split()[1], "labels": pod["metadata"].get("labels", {})}
    # The class would have to exist.
    spec = {key: value for key, value in pod["spec"].items() if key != "priorityClassName"}
    spec.setdefault("restartPolicy", "Always")
    print("---", yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}), sep="\n")
