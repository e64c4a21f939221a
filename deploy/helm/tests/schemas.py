"""Prepares schemas for kubeconform.

schemas.py kubernetes VERSION FOLDER    those of Kubernetes, from the package kubernetes-validate
schemas.py custom FOLDER FILE...        those of custom resources, from files with their definitions
"""

import json
import pathlib
import sys

import yaml


def kubernetes(version: str, folder: str) -> None:
    import kubernetes_validate

    package = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    target = pathlib.Path(folder) / f"v{version}"
    target.mkdir(parents=True, exist_ok=True)
    for source in (package / f"v{version}-local-strict").glob("*.json"):
        schema = json.loads(source.read_text())
        # The addresses are those of the package's own resolver.
        schema.pop("$id", None)
        text = json.dumps(schema).replace('"/api/_definitions.json', '"_definitions.json')
        (target / source.name).write_text(text)


def strict(schema: object) -> object:
    """Refuses properties that the definition does not list, unless it says that it allows them."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema and not is_open:
        schema["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return schema


def custom(folder: str, files: list[str]) -> None:
    target = pathlib.Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        for definition in yaml.load_all(pathlib.Path(file).read_text(), yaml.CSafeLoader):
            if not definition or definition.get("kind") != "CustomResourceDefinition":
                continue
            group, kind = definition["spec"]["group"], definition["spec"]["names"]["kind"].lower()
            for version in definition["spec"]["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                # The API server knows the fields of metadata, which definitions leave out.
                schema["properties"]["metadata"] = {"type": "object"}
                name = f"{kind}-{group.split('.')[0]}-{version['name']}.json"
                (target / name).write_text(json.dumps(schema))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["kubernetes", version, folder]:
            kubernetes(version, folder)
        case ["custom", folder, *files]:
            custom(folder, files)
        case _:
            sys.exit(__doc__)
