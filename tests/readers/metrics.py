"""Parses a metrics file with Prometheus' own parser for Python and prints the samples as JSON."""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

with open(sys.argv[1], encoding="utf-8", newline="") as file:
    families = list(text_string_to_metric_families(file.read()))
names = [family.name for family in families]
assert len(names) == len(set(names)), "a family comes twice"
assert all(family.documentation and family.type == "gauge" for family in families)
samples = [
    {"name": sample.name, "labels": sample.labels, "value": sample.value}
    for family in families
    for sample in family.samples
]
keys = [json.dumps([sample["name"], sample["labels"]], sort_keys=True) for sample in samples]
assert len(keys) == len(set(keys)), "a sample comes twice"
json.dump(samples, sys.stdout)
