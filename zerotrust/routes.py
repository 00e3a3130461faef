"""Declares the requirement of each route: a user's token, a workload's certificate, or nothing.  Pure.

    ROUTES = {
        ("POST", "/quotes"): Scope("quote.write"),
        ("GET", "/quotes/{number}"): Scope("quote.read"),
        ("GET", "/prices"): MutualTLS({"agent/quotes"}),
        ("GET", "/health"): Public(),
    }

A mounted app is one route, `/mounted/at/{path:path}`.  `routing.py` finds the route of a request.  The tools of
an MCP server have theirs in `tool/mcp_tools.py`.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from zerotrust.decision import Reason

MAX_BODY = 4 * 1024
"""Bytes of a body, unless the route sets another limit: an operator's cause has at most 200 characters."""
MAX_TEXT = 64 * 1024
"""Bytes of a user's request: 10,000 characters have at most 40 KB in UTF-8."""
MAX_MESSAGE = 512 * 1024
"""Bytes of a message to an agent, or of a tool's arguments: a document, or an agent's text about some."""
MAX_CONVERSATION = 1 << 20
"""Bytes of a conversation with a model, which contains the documents it has read: as many as an answer may have."""
MAX_PUBLIC_BODY = 16 * 1024
"""Bytes of a body from an unknown sender: a logout token has about one thousand."""


@dataclass(frozen=True, slots=True)
class Need:
    """The need of one request: any of `permissions`, for `operation`.

    If there is none, the request is refused for the reason `otherwise`.
    """

    permissions: tuple[str, ...]
    operation: str
    otherwise: Reason = Reason.NO_PERMISSION_FOR_ROUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """The credentials and rights that a route requires.  The base class admits no caller; a subclass names callers."""

    credential: ClassVar[Literal["nothing", "certificate", "token"]] = "token"
    """The credential that admits a caller.  Only a caller with a token acts for a user."""

    max_body: int = MAX_BODY
    """Bytes that a body may have."""
    raw_body: bool = False
    """Whether the handler reads the body as it is, such as an upload; otherwise it has to be one JSON object."""
    thread: bool = False
    """Whether its handler may be `def`: it runs in a thread, which goes on after its answer was cut off."""
    # Without an annotation, it is no field: only `MutualTLS` makes an option of it.
    routine = False
    """Whether a call that is admitted by its certificate is not recorded."""

    @property
    def hint(self) -> str | None:
        """The scope to name to a caller without a token (RFC 6750 section 3)."""
        return None

    def admits(self, workload: str) -> bool:  # noqa: ARG002
        """Return whether the certificate of the workload of that name admits it."""
        return False

    def need_before_body(self, path: str, scopes: AbstractSet[str]) -> Need | None:  # noqa: ARG002
        """Return what a request with a token of these scopes needs, whatever its body; None if that depends on it."""
        return self.need(path, (), {})

    def need(self, path: str, headers: Iterable[tuple[bytes, bytes]], body: Mapping[str, Any]) -> Need:  # noqa: ARG002
        """Return what this request needs.  Raises `Denied` if that cannot be determined."""
        return Need((), path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Public(Requirement):
    """No credential: any caller may use the route, with any body."""

    credential: ClassVar[Literal["nothing"]] = "nothing"
    max_body: int = MAX_PUBLIC_BODY
    raw_body: bool = True


@dataclass(frozen=True, slots=True)
class MutualTLS(Requirement):
    """The certificate of one of these workloads, given by name; with `any_workload`, of any in the registry.

    `routine`: an admitted call is not recorded, because it only carries what is on record already.  A record of it
    would be carried, too, and so an idle system would write for ever.  Refusals are recorded.
    """

    credential: ClassVar[Literal["certificate"]] = "certificate"
    names: AbstractSet[str] = frozenset()
    any_workload: bool = False
    routine: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.any_workload == bool(self.names):
            raise ValueError("name the workloads, or say any_workload=True")
        object.__setattr__(self, "names", frozenset(self.names))

    def admits(self, workload: str) -> bool:
        return self.any_workload or workload in self.names


@dataclass(frozen=True, slots=True)
class Scope(Requirement):
    """A token with this scope, or with that for parties that operate, which the policies permit its party to use."""

    name: str
    operating: str = ""
    """The scope of a party that operates by itself, if it may use the route, too."""

    @property
    def hint(self) -> str:
        return self.name

    @property
    def permissions(self) -> tuple[str, ...]:
        """The scopes, any of which is needed."""
        return (self.name, self.operating) if self.operating else (self.name,)

    def need(self, path: str, headers: Iterable[tuple[bytes, bytes]], body: Mapping[str, Any]) -> Need:  # noqa: ARG002
        return Need(self.permissions, path)


Routes = Mapping[tuple[str, str], Requirement]
"""The requirement of each route, (method, path).  A path may be a Starlette template: `/quotes/{number}`."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table."""

    name: str
    """Method and path as in the table, so that the number of names is bounded whatever callers request."""
    requires: Requirement


UNLISTED = Route("another route", Requirement())
"""The row for every route that is not in the table."""
