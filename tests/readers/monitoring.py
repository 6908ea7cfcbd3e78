"""Checks the alert rules and the dashboard: they are valid, and the metrics file has every metric and label they use.

monitoring.py METRICS ALERTS DASHBOARD
"""

import json
import re
import sys

import promql_parser as promql
import yaml
from prometheus_client.parser import text_string_to_metric_families

metrics, alerts, dashboard = (open(path, encoding="utf-8").read() for path in sys.argv[1:])

labels_of = {}
for family in text_string_to_metric_families(metrics):
    # Prometheus adds two labels.
    labels_of[family.name] = {"instance", "job"}.union(*(sample.labels for sample in family.samples))


def check(expression, shown=()):
    """The labels of the expression, and those that a text shows of its result, belong to its metrics."""
    selectors, grouped = [], set()

    def visit(node):
        if isinstance(node, promql.VectorSelector):
            selectors.append(node)
        if isinstance(node, promql.AggregateExpr) and node.modifier:
            grouped.update(node.modifier.labels)

    promql.walk(promql.parse(expression), visit)
    assert selectors, expression
    for selector in selectors:
        assert selector.name in labels_of, f"no metric {selector.name}: {expression}"
        used = {matcher.name for matcher in selector.matchers.matchers} | grouped | set(shown)
        unknown = used - labels_of[selector.name]
        assert not unknown, f"{selector.name} has no label {unknown}: {expression}"


rules = [rule for group in yaml.safe_load(alerts)["groups"] for rule in group["rules"]]
assert len({rule["alert"] for rule in rules}) == len(rules) > 3
for rule in rules:
    texts = rule["annotations"]
    assert texts["summary"] and texts["description"] and rule["labels"]["severity"]
    check(rule["expr"], re.findall(r"\$labels\.(\w+)", " ".join(texts.values())))

board = json.loads(dashboard)
panels = board["panels"]
assert len({panel["id"] for panel in panels}) == len(panels) > 10
taken = set()
for panel in panels:
    assert panel["title"] and panel["description"]
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24, panel["title"]
    cells = {
        (place["x"] + column, place["y"] + row) for column in range(place["w"]) for row in range(place["h"])
    }
    assert not cells & taken, f"{panel['title']} covers another panel"
    taken |= cells
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        check(target["expr"], re.findall(r"{{(\w+)}}", target["legendFormat"]))

variables = {variable["name"]: variable for variable in board["templating"]["list"]}
for variable in variables.values():
    if variable["type"] == "query":
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
        check(selector, [label])
assert set(re.findall(r"\$\{?(\w+)", dashboard)) <= variables.keys() | {"__all"}
