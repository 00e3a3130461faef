"""docs/reference/reasons.md: every reason, with its status from the code and its explanation from `zt/reasons.yaml`.

And the same explanations for the console.
"""

import json
import re
from collections.abc import Iterator, Mapping

from authorities.audit.reasons import AuditReason
from authorities.policy.reasons import PolicyReason
from authorities.registry.reasons import RegistryReason
from console.sessions import ConsoleReason
from inference.chat import ModelReason
from orchestrator.proofs import ProofReason
from tests.reference.gate import told
from zerotrust.checks import STEPS
from zerotrust.decision import Reason, ReasonCode
from zt.reasons import meanings, reason_texts

OF_STEPS = {reason: step for step in STEPS for reason in step.reasons}
KINDS: dict[type[ReasonCode], None] = dict.fromkeys(
    [Reason, RegistryReason, PolicyReason, AuditReason, ConsoleReason, ModelReason, ProofReason, *map(type, OF_STEPS)]
)
REASONS = {str(reason): reason for kind in KINDS for reason in kind}
_INTRODUCTION = """\
# Reasons

`start/run tests.reference` writes this page from the code and from [zt/reasons.yaml](../../zt/reasons.yaml).

Every refusal is an answer with a status and a JSON object: `error` (a code of RFC 6749 or RFC 6750), `reason` (one of
the codes below) and `trace_id`. It may also have `scope` (the missing scope) or `advice` (what to do instead). In
JSON-RPC (A2A, MCP) the same object is `error.data`. The column "step" has the steps of [the gate](gate.md) that refuse
for that reason.

An answer quotes nothing of the request, and gives no detail. The journal of the party that refused has the detail, if
that party could verify the caller's token or certificate: `zt audit show` with the `trace_id` shows it. Any other
refusal is only counted, and so is the fourth equal one of a caller within a second. Then no record has its `trace_id`,
and `zt audit show party:NAME` shows how many there were, by reason. In a task, a refusal is an entry of `refused`.

After 429 and 503, `Retry-After` says when the same request may succeed. `budget_spent` has none, because waiting does
not help. After 408, 500, 502 and 504 the same request may succeed, but the first one may have taken effect. After any
other status, the same request is refused again until something changes.

Until a party has verified the signature of a token, it answers `not_verified`, whatever is wrong. Its journal has the
reason, which is in the last table.
"""


def page() -> str:
    return "\n".join([_INTRODUCTION, *_sections()])


def words() -> str:
    """Return what each reason means, for the console's pages."""
    return json.dumps(meanings(), sort_keys=True) + "\n"


def all_explained() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """Return the explanation of each reason, by section: of a check of your own, it is what the step does."""
    own = {str(one): {"meaning": told(step)[0]} for one, step in OF_STEPS.items() if not isinstance(one, Reason)}
    return {**reason_texts(), **({"Checks of your own": own} if own else {})}


def _sections() -> Iterator[str]:
    for title, reasons in all_explained().items():
        yield f"## {title}\n\n| reason | status | step | meaning | usual cause | remedy |\n|---|---|---|---|---|---|"
        yield from (_row(reason, texts) for reason, texts in reasons.items())
        yield ""


def _row(reason: str, texts: Mapping[str, str]) -> str:
    cells = [_linked(texts.get(name, "")) for name in ("meaning", "cause", "remedy")]
    steps = ", ".join(f"[{step.id}](gate.md)" for step in STEPS if REASONS[reason] in step.reasons)
    return f"| `{reason}` | {REASONS[reason].status} | {steps} | {' | '.join(cells)} |"


def _linked(text: str) -> str:
    return re.sub(r"((?:[\w-]+/)+[\w-]+\.md)", r"[\1](../../\1)", text)
