"""Reads metrics as the Prometheus project's own strict parser does; prints the names of their series."""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()
for family in text_string_to_metric_families(text):
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    if family.samples or family.type != "counter":
        print(family.name + suffix)
