"""The commands about receipts.  They need no operator, and no running system.

Each imports what it needs when it runs, as in `operators`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text
from rich.tree import Tree

from zerotrust.authority.names import short
from zt.audit.commands import POLICY, PolicyFile, explaining_faults
from zt.operators import Settings
from zt.output import Json, output
from zt.show import utc_time

if TYPE_CHECKING:
    from evidence import Proven
    from evidence.verified_receipt import VerifiedReceipt

receipt = typer.Typer(no_args_is_help=True)

Answer = Annotated[Path, typer.Argument(metavar="ANSWER", help="the answer of a task, as it came")]
OK, BAD = "green", "red"
INCOMPLETE = 3
"""The exit status if the export does not decide whether a call was left out."""
MOST_NAMED = 10
"""Kinds of other answers that are named; `--json` has all."""


NEXT = {
    2: "  Each start of the system has another authority: --ca names that of this answer (docs/reference/receipts.md).",
    8: "  --accept names other code that you accept (docs/reference/receipts.md).",
}
"""Advice if nothing was forged, by the failed step."""
WITHOUT_PROOF = (
    "All other steps are verified.  But no witness says that each party signed before its certificate ended: a later "
    "thief of its key could have signed.  Ask for the proof soon after the answer (docs/reference/receipts.md)."
)


@receipt.command("digest")
def show_digest(answer: Answer, *, _json: Json = False) -> None:
    """Show the digest of the first receipt in an answer, by which the orchestrator is asked for its proof."""
    from zerotrust.receipts.carried import parse_answer
    from zerotrust.receipts.receipt import digest_of
    from zt.receipt.inputs import read_answer

    with explaining_faults():
        found = parse_answer(read_answer(answer))
    if not found or not found.receipts:
        output.fail(f"{answer} has no receipts: it has to be the answer as it came, byte for byte.", "no_receipts")
    digest = digest_of(found.receipts[0])
    output.show({"sha256": digest}, Text(digest))


@receipt.command("verify")
def verify_receipts(  # noqa: PLR0913 - one for each option
    context: typer.Context,
    answer: Answer,
    also: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[OTHER]...", help="other answers of the same sign-in, compared with the export as well"
        ),
    ] = None,
    *,
    proof: Annotated[
        Path | None, typer.Option("--proof", help="of GET /receipts/…; by default the file ANSWER.proof")
    ] = None,
    headers: Annotated[
        Path | None, typer.Option("--headers", help="of a refusal, as `curl -D` saves them: one has its receipt")
    ] = None,
    request: Annotated[Path | None, typer.Option("--request", help="the request, as it was sent")] = None,
    transaction: Annotated[str | None, typer.Option("--transaction", help="the jti of the user's own token")] = None,
    accept: Annotated[
        Path | None,
        typer.Option("--accept", help="SPIFFE IDs, each with its code digests; by default whom the registry approves"),
    ] = None,
    policy: PolicyFile = None,
    ca: Annotated[Path | None, typer.Option("--ca", help="the certificate authorities; by default run/ca.pem")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="of `zt audit export`: whether all who took part are named")
    ] = None,
    _json: Json = False,
) -> None:
    """Verify who took part in a task, offline.

    Exit with status 1 at the first thing that is not proven.  Exit with status 3 if an export shows nothing wrong, and
    does not decide yet whether a call was left out.
    """
    from evidence import Unproven, verify, verify_refusal
    from evidence.unproven import SOMEBODY, STEPS
    from zerotrust.authority.files.lock import LOCK, REGISTRY
    from zt.audit.exports import leaves, load_policy
    from zt.receipt import inputs

    settings: Settings = context.obj

    def verified_lines(export: Path) -> Iterator[bytes]:
        return (leaf.line for leaf in leaves(export, trust))

    ca, policy, system = ca or settings.run / "ca.pem", policy or settings.run / POLICY, settings.system
    beside = answer.with_name(f"{answer.name}.proof")
    left_out = export and not proof and not beside.exists()
    if headers and (also or proof or export):
        output.fail("A refusal is verified by itself: --headers without --proof, --export and OTHER.", "usage")
    with explaining_faults():
        content = inputs.read_answer(answer)
        believed: dict[str, Any] = {
            "authorities": inputs.load_authorities(ca),
            "accepted": inputs.load_accepted(accept) if accept else inputs.load_approved(system),
            "request": inputs.read_answer(request) if request else None,
            "transaction": transaction,
        }
        try:
            if headers:
                proven = verify_refusal(content, inputs.load_header(headers), **believed)
            else:
                trust = load_policy(policy)
                proven = verify(
                    content,
                    **believed,
                    policy=trust,
                    evidence=None if left_out else inputs.load_evidence(proof or beside),
                    leaves=verified_lines(export) if export else None,
                    also=[inputs.read_answer(one) for one in also or []],
                )
        except Unproven as error:
            output.note(f"Not proven (step {error.step} of {len(STEPS)}): {STEPS[error.step - 1]}.")
            whose = "" if error.party == SOMEBODY else f"{error.party}: "
            output.fail(f"{whose}{error.why}.{NEXT.get(error.step, '')}", f"step_{error.step}")
    _show(proven, [ca, *([] if headers else [policy]), *([accept] if accept else [system / REGISTRY, system / LOCK])])
    if left_out:
        output.fail(f"The time is not proven (step 3): there is no proof {beside}.  {WITHOUT_PROOF}", "no_proof")
    if export and not proven.complete:
        raise typer.Exit(INCOMPLETE)


def _show(proven: "Proven", trusted: Sequence[Path]) -> None:
    from evidence.verified_receipt import receipts_in

    parties = ", ".join(sorted({short(one.signer) for one in receipts_in(proven.root)}))
    told = f"{'Proven: ' if proven.at else ''}{parties} took part, and ran code that is accepted."
    document = _document(proven) | {"trusted": [str(one) for one in trusted]}
    began = Text(f"The task began at {utc_time(proven.root.receipt.began)}.")
    believed = Text(f"Trusted: {', '.join(map(str, trusted))}.", "dim")
    output.show(document, tree(proven.root), Text(told, OK if proven.at else ""), began, believed, *_comparison(proven))


def _comparison(proven: "Proven") -> Iterator[Text | Padding]:
    if not (found := proven.compared):
        if proven.root.receipt.verdict == "refused" and not proven.at:
            yield Text(
                "Its time is not proven (step 3): no record of the log names the receipt of a refusal.", "yellow"
            )
            return
        yield Text("Did another party take part? `zt audit export --to FILE`, then --export FILE.", "dim")
        return
    until, over = utc_time(found.until), utc_time(found.over)
    if found.complete:
        yield Text(
            f"Complete: the log up to {until} has no call with a token of this answer that is in no receipt.", OK
        )
    if found.until < found.over:
        yield Text(
            f"Not complete yet: the export ends at {until}, and calls of this task can be logged until {over}.  Export "
            "the log again a minute after that.",
            "yellow",
        )
    if found.late:
        late = ", ".join(map(short, found.late))
        yield Text(
            f"Not complete: the log lacks records of {late}.  Export it again once it has later records.", "yellow"
        )
    if found.changed:
        changed = ", ".join(map(short, found.changed))
        yield Text(f"Not complete: the log no longer took the journal of {changed}, which has changed.", "yellow")
    if found.undecided:
        yield Text(
            "Not complete: calls that are in no receipt may belong to other answers of the same sign-in.  Verify this "
            "answer again, together with these:",
            "yellow",
        )
        yield from _operation_counts(found.undecided)
    if found.operations:
        entry = short(proven.root.signer)
        yield Text(f"For the same sign-in, {entry} also answered this.  Compare it with what you asked for:", "yellow")
        yield from _operation_counts(found.operations)


def _operation_counts(operations: Iterable[str]) -> Iterator[Text | Padding]:
    """Yield a line for each kind of operation that the entry party has recorded."""
    kinds = Counter(operations)
    for operation, times in kinds.most_common(MOST_NAMED):
        # Lies of it stand in, also where a line is folded: nothing of them looks like a line of this command.
        yield Padding(Text(f"{times:,} x {operation}", "yellow"), (0, 0, 0, 2))
    if len(kinds) > MOST_NAMED:
        yield Text(f"And {len(kinds) - MOST_NAMED} other kinds: `--json` has all.", "yellow")


def tree(one: "VerifiedReceipt", above: Tree | None = None) -> Tree:
    """Return a receipt with those of the calls below it, added to the tree `above` if there is one."""
    said = one.receipt
    verdict = said.verdict if said.reason is None else f"{said.verdict} ({said.reason})"
    line = Text.assemble(
        (short(one.signer), "bold"),
        f" {said.operation}{''.join(f' {name}' for name in said.resources)}: ",
        (verdict, OK if said.verdict == "done" else BAD),
        (f"  code {(said.code or '')[:12]}", "dim"),
    )
    found = above.add(line) if above else Tree(line)
    for called in one.below:
        tree(called, found)
    return found


def _document(proven: "Proven") -> dict[str, object]:
    return {
        "began": proven.root.receipt.began,
        "seen": proven.at,
        "complete": proven.complete,
        "compared_until": proven.compared.until if proven.compared else None,
        "other_answers": proven.others,
        "other_operations": Counter(proven.compared.operations) if proven.compared else None,
        "late_parties": list(proven.compared.late) if proven.compared else None,
        "changed_parties": list(proven.compared.changed) if proven.compared else None,
        "undecided_operations": Counter(proven.compared.undecided) if proven.compared else None,
        "calls": list(_calls(proven.root, None)),
    }


def _calls(one: "VerifiedReceipt", caller: str | None) -> Iterator[dict[str, object]]:
    yield {"party": one.signer, "caller": caller, "receipt": one.digest, "said": json.loads(one.receipt.payload())}
    for called in one.below:
        yield from _calls(called, one.signer)
