"""The decisions of a task, as records have them, and what the policy authority says about each."""

from collections.abc import Container, Iterable, Sequence
from itertools import chain, islice
from typing import Any

from zerotrust.identity import MAX_ACTORS
