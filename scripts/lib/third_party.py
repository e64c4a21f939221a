"""Lists the crates that the three binaries are made of, without those of tests and of the build alone.

third_party.py licenses    the text of each license, with the crates that it is of
third_party.py sbom        a software bill of materials, in CycloneDX 1.5
"""

import collections
import json
import pathlib
import subprocess
import sys

PROGRAMS = ("analytics-ingest", "analytics-api", "analytics-jobs")
TARGET = "x86_64-unknown-linux-gnu"


def shipped() -> tuple[list[dict], dict[str, list[str]]]:
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]
    metadata = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting = [key for key, package in packages.items() if package["name"] in PROGRAMS]
    found: dict[str, list[str]] = {}
    while waiting:
        key = waiting.pop()
        if key in found:
            continue
        normal = [
            dependency["pkg"] for dependency in nodes[key]["deps"]
            if any(kind["kind"] is None for kind in dependency["dep_kinds"])
        ]
        found[key] = normal
        waiting.extend(normal)
    return sorted((packages[key] for key in found), key=lambda package: (package["name"], package["version"])), found


def licenses() -> None:
    texts: dict[str, list[str]] = collections.defaultdict(list)
    packages, _ = shipped()
    for package in packages:
        if package["source"] is None:
            continue
        folder = pathlib.Path(package["manifest_path"]).parent
        name = f"{package['name']} {package['version']} ({package['license'] or 'see below'})"
        # A crate that ends in -sys has the sources of a library in C in a folder.
        files = [*folder.iterdir(), *(folder.glob("*/*") if package["name"].endswith("-sys") else [])]
        files = sorted(path for path in files if path.name.upper().startswith(("LICEN", "COPYING", "NOTICE")) and path.is_file())
        if not files:
            texts[f"No text in the crate; its license is {package['license']}."].append(name)
        for path in files:
            texts[path.read_text(errors="replace").strip()].append(name)
    for text, names in sorted(texts.items(), key=lambda item: item[1]):
        print("=" * 100, *names, "-" * 100, text, sep="\n", end="\n\n")


def reference(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def sbom() -> None:
    packages, depends = shipped()
    by_id = {package["id"]: package for package in packages}
    version = next(package["version"] for package in packages if package["name"] == PROGRAMS[0])
    root = f"pkg:generic/analytics-service@{version}"
    components = [
        {
            "type": "library", "bom-ref": reference(package), "name": package["name"], "version": package["version"],
            "purl": reference(package), "licenses": [{"expression": package["license"]}] if package["license"] else [],
        }
        for package in packages
    ]
    dependencies = [
        {"ref": reference(by_id[key]), "dependsOn": sorted({reference(by_id[other]) for other in others})}
        for key, others in sorted(depends.items())
    ]
    programs = [reference(package) for package in packages if package["name"] in PROGRAMS]
    document = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": root, "name": "analytics-service", "version": version}},
        "components": components, "dependencies": [{"ref": root, "dependsOn": programs}, *dependencies],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["licenses"]:
            licenses()
        case ["sbom"]:
            sbom()
        case _:
            sys.exit(__doc__)
