"""Reads Cedar for the other modules of the policy authority, which never parse a text themselves.  Pure.

Cedar's parser recurses, and its errors compare names: a text of 2 KB can end the process.  So each function applies the
bounds of `zerotrust.policy` to exactly the text that it then parses.  It raises `PolicyError` if the text exceeds them,
and `ValueError` if the text is no Cedar.
"""

import json
from typing import Any

import cedarpy
from cedarpy import pst

from zerotrust.policy import check_bounds


def policies_of(text: str) -> list[pst.Template]:
    """Return the policies in a text, in its order.  Above 100 levels cedarpy raises `ValueError`, too."""
    check_bounds(text)  # control: bounded-where-parsed
    read = cedarpy.policies_to_pst(text)
    if read.templates:
        raise ValueError("a template: only whole policies decide")
    found = read.static_policies
    return [found[name] for name in sorted(found, key=_number)]


def as_json(text: str) -> list[dict[str, Any]]:
    """Return the policies in a text as Cedar JSON, in its order."""
    check_bounds(text)
    found = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"]
    return [found[name] for name in sorted(found, key=_number)]


def text_of(policy: dict[str, Any]) -> str:
    """Return the text of one policy that was read as Cedar JSON."""
    one = {"staticPolicies": {"policy0": policy}, "templates": {}, "templateLinks": []}
    return cedarpy.policies_from_json_str(json.dumps(one))


def _number(name: str) -> int:
    return int(name.removeprefix("policy"))
