"""Holds rendered objects against strict schemas and prints them as JSON for the scenario.

check.py FILE: {"objects": [...], "checked": N, "custom": N, "without_schema": [kinds], "problems": [text]}

Kubernetes' own kinds are held against its schemas of each version, custom resources against their operators'
(custom.mjs); `without_schema` lists those for which there is none.
"""
import json
import pathlib
import subprocess
import sys
import warnings

import kubernetes_validate
import yaml

VERSIONS = ("1.31", "1.35")
# Groups under this domain that Kubernetes does not bring along.
ADDED = {"gateway.networking.k8s.io"}


def is_custom(item):
    group = item["apiVersion"].rpartition("/")[0]
    return group in ADDED or ("." in group and not group.endswith(".k8s.io"))


class Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a map, as kustomize does, through which Flux sends what a chart renders."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def main(path):
    try:
        with open(path) as file:
            objects = [item for item in yaml.load_all(file, Loader) if item]
    except yaml.YAMLError as error:
        print(json.dumps({"objects": [], "checked": 0, "custom": 0, "without_schema": [], "problems": [str(error)]}))
        return
    checked, problems = 0, []
    for item in objects:
        if is_custom(item):
            continue
        name = f"{item.get('kind')}/{item['metadata']['name']}"
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(item, version, strict=True)
                checked += 1
            except Exception as error:  # the library has several
                problems.append(f"{name} ({version}): {str(error) or error.message}")
    custom = checked_custom([item for item in objects if is_custom(item)])
    print(json.dumps({
        "objects": objects,
        "checked": checked,
        "custom": custom["checked"],
        "without_schema": custom["without_schema"],
        "problems": problems + custom["problems"],
    }))


def checked_custom(objects):
    if not objects:
        return {"without_schema": [], "checked": 0, "problems": []}
    script = pathlib.Path(__file__).with_name("custom.mjs")
    node = subprocess.run(["node", script], input=json.dumps(objects), capture_output=True, text=True)
    if node.returncode != 0:
        sys.exit(node.stderr)
    return json.loads(node.stdout)


warnings.simplefilter("ignore")
main(sys.argv[1])
