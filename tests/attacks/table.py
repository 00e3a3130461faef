"""The catalogue: each attack, the reason that goes on record, and the control that stops it.

Where a control is a piece of our own code, a test takes it away and shows that the attack then succeeds: so the table
cannot name the wrong function.  A text in its place says what stops the attack that is not ours to take away.
"""

from dataclasses import dataclass

from lab.deputy import BelievesHeaders
from lab.gates import GateAsDependency
from lab.realm import RealmControl
from lab.without import Control
from zerotrust.policy import Reason
from zerotrust.service import Service

Missing = Control | RealmControl | type[Service]
"""One control that is taken away: a piece of source, of the realm, or a service composed without it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attack."""

    attack: str
    reason: Reason | None
    """None where there is nothing to refuse: what the attacker sends is not read at all."""
    stopped_by: tuple[Missing | tuple[Missing, ...] | str, ...]
    """Each stops it, or a variant of it, alone; those in a tuple stop it one behind the other."""

    @property
    def removable(self) -> list[tuple[Missing, ...]]:
        """The ways to take its controls away from our own code."""
        return [way for way in self._ways() if not isinstance(way[0], RealmControl)]

    @property
    def removable_at_the_realm(self) -> list[tuple[Missing, ...]]:
        """The ways to take its controls away from the realm."""
        return [way for way in self._ways() if isinstance(way[0], RealmControl)]

    def _ways(self) -> list[tuple[Missing, ...]]:
        ways = [by for by in self.stopped_by if not isinstance(by, str)]
        return [by if isinstance(by, tuple) else (by,) for by in ways]


def described(way: Missing | tuple[Missing, ...] | str) -> str:
    """How a control is told to a reader: the file and the function."""
    if isinstance(way, tuple):
        return " and ".join(map(described, way))
    return str(way) if isinstance(way, Control | RealmControl | str) else getattr(way, "instead_of", way.__name__)


def _verify(take: str, put: str = "") -> Control:
    return Control("zerotrust.verify", "verify", take, put)


def _gate(function: str, take: str, put: str = "") -> Control:
    return Control("zerotrust.gate", function, take, put)


def _mcp(take: str, put: str = "") -> Control:
    return Control("zerotrust.mcp", "ToolPermissions.need", take, put)


def _policy(line: str, put: str) -> Control:
    """A line of the policies, which are read as text."""
    read = '(folder / "policies.cedar").read_text()'
    where = f"policies.cedar {line.partition(' &&')[0].partition(' }')[0]}"
    return Control("zerotrust.service", "read_policy", read, f"{read}.replace({line!r}, {put!r})", where)


ADMIT = _gate("Gate._serve", "receive = await self._admit(call, receive)")
"""The gate itself."""
_ROUTE = '(call.scope["method"], call.scope["path"])'
DECIDE = _gate("Gate._admit", "self._decide(call, need)")
NEEDS_SCOPE = (
    Control("zerotrust.policy", "Policy.decide", "if permission not in principal.scopes:"),
    _policy("context.scopes.contains(context.permission) &&", "true &&"),
)
MAY_HOLD = _policy("principal.hands_on.contains(context.permission) &&", "true &&")
_READERS = 'context.scopes.contains("tool.read") && context.groups.contains(resource.department)'
OWN_DEPARTMENT = _policy(_READERS, 'context.scopes.contains("tool.read")')
PERMITTED = Control(
    "tools.documents.main",
    "create_app",
    "document is None or not await service.decide(action, document.as_resource())",
    "document is None",
    "tools/documents/main.py permitted",
)
FILED = Control(
    "tools.documents.main",
    "create_app",
    "not await service.decide('document.create', draft.as_resource())",
    "False",
    "tools/documents/main.py create",
)
NAMED_IN_BODY = _mcp("message['params']['name']", "dict(headers)[b'mcp-name'].decode()")
ERA = _mcp("if [value for name, value in headers if name == b'mcp-protocol-version'] != [ERA]:")
_SERVED = """server.streamable_http_app(
    streamable_http_path=PATH,
    stateless_http=True,
    json_response=True,
    transport_security=TransportSecuritySettings(allowed_hosts=[urlsplit(address).netloc]),
)"""
STATELESS = Control(
    "zerotrust.tool", "tool_app", _SERVED, _SERVED.replace("stateless_http=True", "stateless_http=False")
)


def _a2a(function: str, take: str, put: str = "") -> Control:
    return Control("zerotrust.a2a", function, take, put)


def _answering(take: str, put: str) -> Control:
    return _a2a("_Executor.execute", take, put)


_KEEPING = "__import__('lab.keeping', fromlist=['lab'])"
_SAID = f"{_KEEPING}.with_what_was_said(self, context)"
_HANDLER = "DefaultRequestHandler(agent_executor=_Executor(answer), task_store=InMemoryTaskStore(), agent_card=card)"
KEEPS_NO_TASK = _answering("new_message(parts, role=Role.ROLE_AGENT)", f"{_KEEPING}.as_task(context, parts)")

ROWS: dict[int, Row] = {
    # A. credentials and HTTP
    1: Row("no token, at any door", Reason.NO_TOKEN, (ADMIT,)),
    2: Row("no token, at a route that an SDK registered", Reason.NO_TOKEN, (GateAsDependency,)),
    3: Row(
        "a token in the query or in a form",
        Reason.NO_TOKEN,
        (
            _gate(
                "Gate._admit",
                'token = _bearer(call.scope["headers"], hint=call.permission)',
                'token = UnverifiedToken(call.scope["query_string"].decode().removeprefix("access_token="))',
            ),
        ),
    ),
    4: Row(
        "two Authorization headers",
        Reason.MALFORMED_CREDENTIALS,
        (_gate("_bearer", "if len(given) > 1:"),),
    ),
    5: Row(
        "two tokens in one header, and other spellings",
        Reason.MALFORMED_CREDENTIALS,
        (
            _gate("_bearer", "if not token or token.translate(None, _TOKEN_BYTES):"),
            _gate("_bearer", 'given[0].partition(b" ")', 'b"bearer", b"", given[0].split()[-1]'),
        ),
    ),
    6: Row(
        "another scheme; a bearer of nothing",
        Reason.UNSUPPORTED_SCHEME,
        (_gate("_bearer", 'if kind.lower() != b"bearer":'),),
    ),
    7: Row(
        "token or identity in a proxy's header or a cookie",
        Reason.NO_TOKEN,
        (_gate("_bearer", 'name == b"authorization"', 'name in (b"authorization", b"x-forwarded-access-token")'),),
    ),
    9: Row(
        "other methods, other spellings of a path",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (
            (_gate("Gate._admit", "if route is None:"), DECIDE),
            _gate("Gate._admit", f"self._permissions.get({_ROUTE})", f"self._permissions.get({_ROUTE}, PUBLIC)"),
        ),
    ),
    # C. issuer, audience, time, claims
    29: Row("another issuer", Reason.ISSUER_MISMATCH, (_verify("if claims.iss != expected.issuer:"),)),
    # E. scope and authorisation
    46: Row("without the scope of the door", Reason.SCOPE_MISSING, (DECIDE, NEEDS_SCOPE)),
    47: Row("a token for one tool calls another", Reason.SCOPE_MISSING, (DECIDE, NEEDS_SCOPE, MAY_HOLD)),
    48: Row(
        "a tool that no policy knows",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (_mcp("self.tools.get(tool)", "self.tools.get(tool, 'tool.read')"),),
    ),
    49: Row(
        "a scope that nearly reads like the right one",
        Reason.SCOPE_MISSING,
        (NEEDS_SCOPE, _verify("frozenset(claims.scope.split(' '))", "frozenset(claims.scope.split())"), "pydantic"),
    ),
    53: Row(
        "somebody else's document by its id",
        Reason.RESOURCE_DENIED,
        (
            PERMITTED,
            OWN_DEPARTMENT,
            Control(
                "tools.documents.main",
                "create_app",
                "service.permits('document.read', d.as_resource())",
                "True",
                "tools/documents/main.py search",
            ),
        ),
    ),
    55: Row(
        "a listing shows what the caller cannot use",
        Reason.NO_PERMISSION_FOR_ROUTE,
        (
            Control(
                "zerotrust.tool",
                "tool_server",
                "service.may_use(tools[tool['name']])",
                "True",
                "zerotrust/tool.py only_callable",
            ),
            DECIDE,
            "a2a-sdk",
        ),
    ),
    57: Row("a parameter says who the user is", None, (BelievesHeaders,)),
    # I. MCP
    98: Row(
        "the headers name one tool and the body another",
        Reason.SCOPE_MISSING,
        ((NAMED_IN_BODY, ERA, FILED), "mcp"),
    ),
    99: Row("an older era of the protocol", Reason.LEGACY_ERA, (ERA,)),
    100: Row(
        "what is JSON-RPC but no request",
        Reason.MALFORMED_BODY,
        (
            _mcp("if not isinstance(method, str) or type(request_id) not in (str, int):"),
            _mcp("tuple(dict.fromkeys(self.tools.values())) if method in _LISTINGS else ()", "('tool.read',)"),
        ),
    ),
    101: Row(
        "a web page that found our address",
        Reason.NO_TOKEN,
        (
            Control(
                "zerotrust.tool",
                "tool_app",
                "TransportSecuritySettings(allowed_hosts=[urlsplit(address).netloc])",
                "TransportSecuritySettings(enable_dns_rebinding_protection=False)",
            ),
        ),
    ),
    102: Row("a session of the attacker's choice", Reason.LEGACY_ERA, ((ERA, STATELESS),)),
    103: Row(
        "arguments that are more than arguments",
        Reason.GRANTED,
        (
            Control(
                "tools.documents.store",
                "Store.find",
                "_documents.c.id == name",
                "__import__('sqlalchemy').text(f\"id = '{name}'\")",
            ),
            Control(
                "tools.documents.store",
                "Store.search",
                "_documents.c.title.icontains(word, autoescape=True)",
                "_documents.c.title.icontains(word)",
            ),
            "pydantic",
        ),
    ),
    # J. A2A
    113: Row("the task of somebody else", Reason.GRANTED, (KEEPS_NO_TASK,)),
    114: Row(
        "the conversation of somebody else",
        Reason.GRANTED,
        (_answering("found = await self._answer(context.get_user_input())", f"found = await self._answer({_SAID})"),),
    ),
    115: Row(
        "a web address to be told of a task",
        Reason.GRANTED,
        (
            (
                KEEPS_NO_TASK,
                _a2a(
                    "agent_card",
                    "AgentCapabilities(streaming=False, push_notifications=False)",
                    "AgentCapabilities(streaming=False, push_notifications=True)",
                ),
                _a2a("agent_app", _HANDLER, f"{_HANDLER[:-1]}, **{_KEEPING}.notifying(service))"),
            ),
        ),
    ),
    116: Row(
        "an agent that asks for a token in its answer",
        Reason.GRANTED,
        (_a2a("ask_agent", "if not reply.HasField('message'):"),),
    ),
}
