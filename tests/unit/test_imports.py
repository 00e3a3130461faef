"""The architecture as a test: what is pure stays pure, and no service knows another."""

import ast
import re
import sys
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import ROOT, registry

GATE = [
    "identity",
    "limits.bounded",
    "limits.strict_json",
    "errors",
    "decision",
    "entities",
    "policy_work",
    "policy",
    "policy_in_force",
    "token_validation",
    "dialect",
    "transport.jsonrpc",
    "routes",
    "adapters.mcp_tools",
    "revocation",
    "revocation_list",
    "limits.in_flight",
]
PURE = [
    *GATE,
    "visible",
