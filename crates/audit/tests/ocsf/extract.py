#!/usr/bin/env python3
"""Prints schema.txt from a clone of https://github.com/ocsf/ocsf-schema:

    python3 crates/audit/tests/ocsf/extract.py PATH-TO-CLONE > crates/audit/tests/ocsf/schema.txt

The commit that is checked out (or, in a bare clone, HEAD) is the one that is read.
"""

import json
import subprocess
import sys

CLASSES = [
    "base_event",
    "application/api_activity",
    "application/application_lifecycle",
    "application/datastore_activity",
    "findings/detection_finding",
    "iam/authentication",
    "iam/authorize_session",
    "system/event_log_activity",
]
# Where the definitions that classes extend stand.
FOLDERS = {
    "application": "application/",
    "finding": "findings/",
    "iam": "iam/",
    "system": "system/",
}
OBJECTS = [
    "actor",
    "ai_agent",
    "api",
    "attestation",
    "authorization",
    "database",
    "finding_info",
    "fingerprint",
    "iam_role",
    "metadata",
    "network_endpoint",
    "policy",
    "prev_event",
    "product",
    "query_info",
    "request",
    "resource_details",
    "service",
    "session",
    "table",
    "user",
]


def git(*arguments):
    return subprocess.check_output(["git", "-C", sys.argv[1], *arguments], text=True)


def load(path):
    return json.loads(git("show", f"HEAD:{path}"))


dictionary = load("dictionary.json")
categories = load("categories.json")["attributes"]


def parents(kind, name):
    """The definition and those that it extends, the most general first."""
    own = load(f"{kind}/{FOLDERS.get(name, '')}{name}.json")
    above = own.get("extends")
    return (parents(kind, above) if above else []) + [own]


def with_includes(attributes):
    """What stands there, after what is included; each included attribute with its profile."""
    merged = {}
    for path in attributes.get("$include", []):
        profile = load(path)
        for name, attribute in profile["attributes"].items():
            merged[name] = {"profile": profile["name"]} | attribute
    for name, attribute in attributes.items():
        if name != "$include":
            merged[name] = merged.get(name, {}) | attribute
    return merged


def merge(definitions):
    attributes, constraints, category = {}, {}, None
    for definition in definitions:
        for name, attribute in with_includes(definition["attributes"]).items():
            before = attributes.get(name, {})
            enum = before.get("enum", {}) | attribute.get("enum", {})
            attributes[name] = before | attribute | ({"enum": enum} if enum else {})
        constraints = definition.get("constraints", constraints)
        category = definition.get("category", category)
    return attributes, constraints, category


def lines(attributes, constraints):
    for kind, names in constraints.items():
        yield f"{kind} {' '.join(names)}"
    for name, attribute in sorted(attributes.items()):
        general = dictionary["attributes"][name]
        # A definition that says nothing leaves the requirement optional.
        requirement = attribute.get("requirement") or "optional"
        if "@deprecated" in attribute or "@deprecated" in general:
            requirement = "deprecated"
        kind = attribute.get("type") or general["type"]
        if attribute.get("is_array", general.get("is_array")):
            kind += "[]"
        line = f"{name} {requirement} {kind}"
        if attribute.get("profile"):
            line += f" profile:{attribute['profile']}"
        enum = general.get("enum", {}) | attribute.get("enum", {})
        if enum:
            if general.get("sibling"):
                line += f" sibling:{general['sibling']}"
            captions = [f"{value}={entry['caption']}" for value, entry in enum.items()]
            line += f" enum:{'|'.join(captions)}"
        yield line


print(f"# OCSF {load('version.json')['version']}, github.com/ocsf/ocsf-schema {git('rev-parse', 'HEAD').strip()}")
print("# Written by extract.py beside it. Of each class and object that events have, every attribute;")
print("# of a class only where it is not as in base_event:")
print("#   name requirement type[[]] [profile:NAME] [sibling:CAPTION'S ATTRIBUTE] [enum:VALUE=CAPTION|…]")
print("# The schema is licensed under Apache-2.0.")
base = set()
for path in CLASSES:
    attributes, constraints, category = merge(parents("events", path))
    definition = load(f"events/{path}.json")
    number = categories[category]["uid"] if category in categories else 0
    uid = number * 1000 + definition.get("uid", 0)
    attributes["class_uid"]["enum"] = {str(uid): {"caption": definition["caption"]}}
    caption = categories[category]["caption"] if category in categories else "Uncategorized"
    attributes["category_uid"]["enum"] = {str(number): {"caption": caption}}
    print(f"\nclass {uid} {definition['name']}")
    own = [line for line in lines(attributes, constraints) if line not in base]
    print("\n".join(own))
    base = base or set(own)
for name in OBJECTS:
    attributes, constraints, _ = merge(parents("objects", name))
    print(f"\nobject {name}")
    print("\n".join(lines(attributes, constraints)))
