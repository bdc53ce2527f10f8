"""Holds rendered objects against Kubernetes' own strict schemas and prints them as JSON for the scenario.

check.py FILE: {"objects": [...], "checked": N, "without_schema": [kinds], "problems": [text]}
"""
import json
import sys
import warnings

import kubernetes_validate
import yaml

VERSIONS = ("1.31", "1.35")
# Custom resources: their schemas are their operators'.
FOREIGN = {"HTTPRoute", "ServiceMonitor", "PrometheusRule", "HelmRelease", "HelmRepository", "OCIRepository", "GitRepository"}


def main(path):
    with open(path) as file:
        objects = [item for item in yaml.safe_load_all(file) if item]
    checked, foreign, problems = 0, [], []
    for item in objects:
        name = f"{item.get('kind')}/{item['metadata']['name']}"
        if item.get("kind") in FOREIGN:
            foreign.append(item["kind"])
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(item, version, strict=True)
                checked += 1
            except Exception as error:  # the library has several
                problems.append(f"{name} ({version}): {error}")
    print(json.dumps({"objects": objects, "checked": checked, "without_schema": foreign, "problems": problems}))


warnings.simplefilter("ignore")
main(sys.argv[1])
