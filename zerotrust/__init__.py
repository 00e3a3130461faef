"""The library that every service here is built from: verify, decide, record, narrow, act.

docs/how-to/library.md has a whole party in twenty lines.  Each name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zerotrust.context import current_principal as current_principal
    from zerotrust.decision import Denied as Denied
    from zerotrust.decision import Reason as Reason
    from zerotrust.decision import Resource as Resource
    from zerotrust.lifetime import run_in_background as run_in_background
    from zerotrust.routes import Public as Public
    from zerotrust.routes import Routes as Routes
    from zerotrust.routes import Scope as Scope
    from zerotrust.runtime import run as run
    from zerotrust.service import Service as Service
    from zerotrust.standalone.any_issuer import guard as guard
    from zerotrust.standalone.bound_service import BoundService as BoundService
    from zerotrust.standalone.bound_service import Callee as Callee

VERSION = "0.1.0"
"""The project's version, as in `pyproject.toml`, which is not among the measured folders that a launched party sees."""

_MODULES = {
    "context": "current_principal",
    "decision": "Denied Reason Resource",
    "lifetime": "run_in_background",
    "routes": "Public Routes Scope",
    "runtime": "run",
    "service": "Service",
    "standalone.any_issuer": "guard",
    "standalone.bound_service": "BoundService Callee",
}
"""Where each public name is."""
_WHERE = {name: f"zerotrust.{module}" for module, names in _MODULES.items() for name in names.split()}

__all__ = ["VERSION", *_WHERE]  # noqa: PLE0604 - strings, all of them


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562): a party loads no more than it uses."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
