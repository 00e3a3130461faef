"""What each route of an application requires: a user's token, a workload's certificate, or nothing.  Pure.

    ROUTES = {
        ("POST", "/quotes"): Scope("quote.write"),
        ("GET", "/quotes/{number}"): Scope("quote.read"),
        ("GET", "/prices"): MutualTLS({"agent/quotes"}),
        ("GET", "/health"): Public(),
    }

A route that is not in the table is refused.  Tools of an MCP server have a requirement of their own (`mcp.py`).
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from starlette.routing import BaseRoute, Match, compile_path
from starlette.routing import Route as Served

from zerotrust.decision import Reason

MAX_BODY = 4 * 1024
"""Bytes of a body, unless the route says otherwise: an operator's cause has at most 200 characters."""
MAX_TEXT = 64 * 1024
"""Bytes of a request in a user's words: 10,000 characters have at most 40 KB in UTF-8."""
MAX_MESSAGE = 512 * 1024
"""Bytes of a message to an agent, or of a tool's arguments: a document, or what an agent has made of some."""
MAX_CONVERSATION = 1 << 20
"""Bytes of a conversation with a model: the documents that it has read, and no more than one answer may bring."""
MAX_PUBLIC_BODY = 16 * 1024
"""Bytes where the sender is unknown: a logout token has about one thousand."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one request needs: any one of `permissions`, for `operation`; where there are none, why."""

    permissions: tuple[str, ...]
    operation: str
    otherwise: Reason = Reason.NO_PERMISSION_FOR_ROUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a caller must show to use a route.  As it is here, nothing opens it; a subclass says what does."""

    credential: ClassVar[Literal["nothing", "certificate", "token"]] = "token"
    """By what a caller is let in.  Only with a token it acts in a user's name."""

    max_body: int = MAX_BODY
    """Bytes that a body may have."""

    @property
    def hint(self) -> str | None:
        """The scope to name to a caller that comes without a token (RFC 6750 section 3)."""
        return None

    def admits(self, workload: str) -> bool:  # noqa: ARG002
        """Whether the workload of that name is let in by its certificate."""
        return False

    def need_before_body(self, path: str, scopes: AbstractSet[str]) -> Need | None:  # noqa: ARG002
        """What a request with a token of these scopes needs, whatever its body says; None where the body decides."""
        return self.need(path, (), {})

    def need(self, path: str, headers: Iterable[tuple[bytes, bytes]], body: Mapping[str, Any]) -> Need:  # noqa: ARG002
        """What this request needs.  Raises `Denied` where that cannot be told."""
        return Need((), path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Public(Requirement):
    """Nothing: anybody may use the route, with any body."""

    credential: ClassVar[Literal["nothing"]] = "nothing"
    max_body: int = MAX_PUBLIC_BODY


@dataclass(frozen=True, slots=True)
class MutualTLS(Requirement):
    """The certificate of one of these workloads, given by name; or, where that is said, of any in the registry."""

    credential: ClassVar[Literal["certificate"]] = "certificate"
    names: AbstractSet[str] = frozenset()
    any_workload: bool = False

    def __post_init__(self) -> None:
        if self.any_workload == bool(self.names):
            raise ValueError("name the workloads, or say any_workload=True")
        object.__setattr__(self, "names", frozenset(self.names))

    def admits(self, workload: str) -> bool:
        """Whether it is one of them."""
        return self.any_workload or workload in self.names


@dataclass(frozen=True, slots=True)
class Scope(Requirement):
    """A user's token with this scope, which the policies let its holder use here."""

    name: str

    @property
    def hint(self) -> str:
        """The scope itself."""
        return self.name

    def need(self, path: str, headers: Iterable[tuple[bytes, bytes]], body: Mapping[str, Any]) -> Need:  # noqa: ARG002
        """The scope, whatever was sent."""
        return Need((self.name,), path)


Routes = Mapping[tuple[str, str], Requirement]
"""(method, path) to what the route requires.  A path may be a template of Starlette's: `/quotes/{number}`."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table."""

    name: str
    """Method and path, as the table has them: so there are no more names than rows, whatever callers ask for."""
    requires: Requirement


UNLISTED = Route("another route", Requirement())
"""The row of all that is in no table."""


class RouteTable:
    """Finds what a request requires, by the matching that the application's own router does.  Immutable."""

    def __init__(self, routes: Routes) -> None:
        rows = [
            (method, path, compile_path(path), Route(f"{method} {path}", it)) for (method, path), it in routes.items()
        ]
        self._exact = {(method, path): row for method, path, (_, _, fields), row in rows if not fields}
        self._templates = tuple((method, pattern, row) for method, _, (pattern, _, fields), row in rows if fields)

    def find(self, method: str, path: str) -> Route:
        """The row for a request, `UNLISTED` where there is none.  `path` is decoded, as in an ASGI scope.

        An exact path wins over a template.  A path that fits two templates which differ in what they require is in no
        row, for the router may choose either.
        """
        if row := self._exact.get((method, path)):
            return row
        rows = [row for its, pattern, row in self._templates if its == method and pattern.match(path)]
        return rows[0] if rows and all(row.requires == rows[0].requires for row in rows) else UNLISTED

    def check(self, served: Iterable[BaseRoute]) -> None:
        """Raise `ValueError` where these routes of a router give an exact path of the table to a template."""
        for method, path in self._exact:
            scope = {"type": "http", "method": method, "path": path, "headers": []}
            first = next((route for route in served if route.matches(scope)[0] is Match.FULL), None)
            if isinstance(first, Served) and first.path != path:
                raise ValueError(f"{method} {path} is served by {first.path}: register the exact path first")
