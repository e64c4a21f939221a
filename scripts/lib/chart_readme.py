"""Prints the README of a chart: its introduction, and a table of the values with the comments above them.

chart_readme.py CHART
"""

import json
import pathlib
import re
import sys

import yaml

KEY = re.compile(r"^( *)([A-Za-z]\w*):(?: |$)")


def comments(text: str) -> dict[str, str]:
    """Returns the comment directly above each key, by the key's path. Lists and one-line maps have none inside."""
    found, path, above = {}, [], []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.strip().lstrip("# "))
            continue
        if key := KEY.match(line):
            depth = len(key[1]) // 2
            path = [*path[:depth], key[2]]
            if above:
                found[".".join(path)] = " ".join(above)
        above = []
    return found


def rows(values: dict, about: dict[str, str], path: str = ""):
    for key, value in values.items():
        name = f"{path}.{key}" if path else key
        # A map with a comment inside it, or with maps, has a row for each of its keys.
        is_table = isinstance(value, dict) and value and not set(value) & {"requests", "maxSurge", "grafana_dashboard"}
        if not is_table:
            yield name, value, about.get(name, "")
        else:
            if name in about:
                yield name, None, about[name]
            yield from rows(value, about, name)


def main(chart: pathlib.Path) -> None:
    text = (chart / "values.yaml").read_text()
    about = comments(text)
    print((chart / "README.md.head").read_text())
    print("| value | default | what it is |\n|---|---|---|")
    for name, value, what in rows(yaml.safe_load(text), about):
        shown = "" if value is None or value == "" else f"`{json.dumps(value) if not isinstance(value, str) else value}`"
        print(f"| `{name}` | {shown} | {what} |".replace("  ", " "))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
