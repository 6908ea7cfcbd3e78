"""Plots the results of benches/growth.py. Both axes are logarithmic, so a straight line of slope 1 means proportional
growth."""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "durable-inventory"
from matplotlib import pyplot  # noqa: E402: the backend comes first

figures = json.load(sys.stdin)
fig, ((times, wals), (share_times, share_wals)) = pyplot.subplots(2, 2, figsize=(10, 7), layout="constrained")
sizes = [row[0] for row in figures["sizes"]]
for index, name in enumerate(["first sync", "unchanged", "3 % changed"], start=1):
    times.plot(sizes, [row[index][0] for row in figures["sizes"]], marker="o", label=name)
    wals.plot(sizes, [row[index][1] for row in figures["sizes"]], marker="o", label=name)
shares = [row[0] for row in figures["shares"]]
share_times.plot(shares, [row[1] for row in figures["shares"]], marker="o")
share_wals.plot(shares, [row[2] for row in figures["shares"]], marker="o")
for axes, title in [(times, "seconds, by objects"), (wals, "WAL in MB, by objects")]:
    axes.set(title=title, xscale="log", yscale="log", xlabel="objects in the namespace")
    axes.legend()
for axes, title in [(share_times, "seconds, by share changed"), (share_wals, "WAL in MB, by share changed")]:
    axes.set(title=title, xlabel="% of 1,000,000 objects changed", ylim=(0, None))
for axes in fig.axes:
    axes.grid(True, alpha=0.3)
fig.savefig(sys.argv[1], metadata={"Date": None})
