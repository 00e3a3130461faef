"""The commands about receipts.  They need no operator, and nothing that runs.

Each imports what it needs when it runs, as in `operators`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.padding import Padding
from rich.text import Text
from rich.tree import Tree

from zt.audit import POLICY, PolicyFile, explained
from zt.names import short
from zt.output import Json, output
from zt.show_evidence import at

if TYPE_CHECKING:
    from zerotrust.receipts import Proven, Unproven
    from zerotrust.receipts.failure import EndsBefore
    from zerotrust.receipts.opened import Opened
    from zt.operators import Settings

receipt = typer.Typer(no_args_is_help=True)

Answer = Annotated[Path, typer.Argument(metavar="ANSWER", help="the answer of a task, as it came")]
OK, BAD = "green", "red"
INCOMPLETE = 3
"""The exit status if the export does not decide whether a call was left out."""
MOST_NAMED = 10
"""Kinds of other answers that are named; `--json` has all."""


WITHOUT_PROOF = (
    "All other steps are verified.  But no witness says that each party signed before its certificate ended: whoever "
    "stole a key later could have.  A proof is asked for soon after the answer (docs/reference/receipts.md)."
)


@receipt.command("digest")
def show_digest(answer: Answer, *, _json: Json = False) -> None:
    """Show the digest of the first receipt in an answer, by which the orchestrator is asked for its proof."""
    from zerotrust.receipts.carried import taken
    from zerotrust.receipts.receipt import digest_of

    found = taken(_read(answer, "the answer"))
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
    request: Annotated[Path | None, typer.Option("--request", help="the request, as it was sent")] = None,
    transaction: Annotated[str | None, typer.Option("--transaction", help="the jti of the user's own token")] = None,
    accept: Annotated[
        Path | None,
        typer.Option("--accept", help="SPIFFE IDs, each with its code digests; by default whom the registry approves"),
    ] = None,
    policy: PolicyFile = None,
    ca: Annotated[Path | None, typer.Option("--ca", help="the certificate authorities; by default run/ca.pem")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="of `zt audit export`: whether nobody else took part")
    ] = None,
    _json: Json = False,
) -> None:
    """Verify who took part in a task, offline.

    Exit with status 1 at the first thing that is not proven, and with status 3 if an export shows nothing wrong but
    does not decide yet whether a call was left out.
    """
    from zerotrust.receipts import Unproven, verify
    from zerotrust.registry.lock import LOCK, REGISTRY
    from zt.evidence import leaves, trusted
    from zt.receipt_inputs import accepted_by, approved_in, authorities, evidence
    from zt.witness import Witness, default_folder

    settings: Settings = context.obj

    def verified(export: Path) -> Iterator[bytes]:
        held = Witness(default_folder()).held(trust.logs)
        return (leaf.line for leaf in leaves(export, trust, after=0, held=held))

    ca, policy, system = ca or settings.run / "ca.pem", policy or settings.run / POLICY, settings.run.parent
    content, beside = _read(answer, "the answer"), answer.with_name(f"{answer.name}.proof")
    left_out = export and not proof and not beside.exists()
    with explained():
        trust = trusted(policy)
        try:
            proven = verify(
                content,
                authorities=authorities(ca),
                accepted=accepted_by(accept) if accept else approved_in(system),
                policy=trust,
                evidence=None if left_out else evidence(proof or beside),
                request=_read(request, "the request") if request else None,
                transaction=transaction,
                leaves=verified(export) if export else None,
                also=[_read(one, "the answer") for one in also or []],
            )
        except Unproven as error:
            _failed(error, ca, export, "" if accept else f"{system / LOCK}")
    _show(proven, [ca, policy, *([accept] if accept else [system / REGISTRY, system / LOCK])])
    if left_out:
        output.fail(f"NOT PROVEN when (step 3): there is no proof {beside}.  {WITHOUT_PROOF}", "no_proof")
    if export and not proven.complete:
        raise typer.Exit(INCOMPLETE)


def _read(path: Path, what: str) -> bytes:
    from zerotrust.limits.answers import MAX_ANSWER

    try:
        with path.open("rb") as file:
            content = file.read(MAX_ANSWER + 1)
    except OSError as error:
        output.fail(f"{what} {path} cannot be read: {error.strerror}.", "unreadable")
    if len(content) > MAX_ANSWER:
        output.fail(f"{path} has more than {MAX_ANSWER:,} bytes, and no answer has.", "too_large")
    return content


def _failed(error: "Unproven", ca: Path, export: Path | None, lock: str) -> NoReturn:
    """`lock`: the file by which code was accepted; empty if it was another one."""
    from zerotrust.receipts.failure import SOMEBODY, STEPS, EndsBefore, OtherAuthority, OtherCode

    output.note(f"Step {error.step} of {len(STEPS)} NOT PROVEN: {STEPS[error.step - 1]}")
    why = error.why
    if isinstance(error, OtherAuthority):
        why = (
            f"its certificate does not lead to an authority in {ca}.  If the system has started again since this "
            "answer, that is why: name the ca.pem of that run with --ca (docs/reference/receipts.md)"
        )
    if isinstance(error, OtherCode) and lock:
        why += (
            f".  {lock} approves other code.  If that is another state of the project than the one that answered, name "
            "with --accept what you accept (docs/reference/receipts.md)"
        )
    if isinstance(error, EndsBefore):
        why = f"{export} ends at {at(error.until)}, " + _too_early(error)
    whose = "" if error.party == SOMEBODY else f"{error.party}: "
    output.fail(f"{whose}{why}.", f"step_{error.step}")


def _too_early(error: "EndsBefore") -> str:
    answered = at(error.answered)
    if error.until < error.answered:
        return f"before this answer ({answered}): export the log again"
    over = f"can come into the log until {at(error.over)}"
    return f"and the record of this answer ({answered}) {over}: export the log again after that"


def _show(proven: "Proven", trusted: Sequence[Path]) -> None:
    from zerotrust.receipts.opened import each

    parties = ", ".join(sorted({short(one.signer) for one in each(proven.root)}))
    told = f"{'Proven: ' if proven.at else ''}{parties} took part, and ran code that is accepted."
    document = _document(proven) | {"trusted": [str(one) for one in trusted]}
    began = Text(f"The task began at {at(proven.root.receipt.began)}.")
    believed = Text(f"Trusted: {', '.join(map(str, trusted))}.", "dim")
    output.show(document, tree(proven.root), Text(told, OK if proven.at else ""), began, believed, *_compared(proven))


def _compared(proven: "Proven") -> Iterator[Text | Padding]:
    """Yield what the log says of others."""
    if not (found := proven.compared):
        yield Text("Whether somebody else took part: --export FILE, of `zt audit export`.", "dim")
        return
    until, over = at(found.until), at(found.over)
    if found.complete:
        yield Text(
            f"Complete: the log up to {until} has no call with a token of this answer that is in no receipt.", OK
        )
    if found.until < found.over:
        yield Text(
            f"NOT YET COMPLETE: the export ends at {until}; a later call in this task can come into the log until "
            f"{over}.  Export the log again a minute after that: an idle log gets a record a minute.",
            "yellow",
        )
    if found.late:
        yield Text(
            f"NOT COMPLETE: the log took no more from {', '.join(map(short, found.late))} then, so records of this "
            "task may still come.  Export the log again when later ones are there.",
            "yellow",
        )
    if found.undecided:
        yield Text(
            "NOT COMPLETE: the log has calls that are in no receipt here, and that may belong to other answers of the "
            "same sign-in.  Verify this answer again, with these behind it.  If one has no receipt, nobody can:",
            "yellow",
        )
        yield from _counted(found.undecided)
    yield from _others(found.operations, short(proven.root.signer), proven.root.digest)


def _others(operations: Sequence[str], front_door: str, digest: str) -> Iterator[Text | Padding]:
    """Yield what else the front door has answered for the same sign-in."""
    from zerotrust.receipts.completeness import PROOF, asks_for_proof

    proofs = [one for one in operations if asks_for_proof(one)]
    own = proofs.count(f"{PROOF}{digest}")
    asked = [
        *([_times("the request for the proof of this answer", own)] if own else []),
        *([_times("a request for the proof of another one", len(proofs) - own)] if len(proofs) > own else []),
    ]
    if asked:
        yield Text(f"For the same sign-in, {front_door} also answered {' and '.join(asked)}.", "dim")
    tasks = [one for one in operations if not asks_for_proof(one)]
    if not tasks:
        return
    yield Text(
        f"For the same sign-in, {front_door} also answered what is not a request for a proof.  Compare it with what "
        "you asked for:",
        "yellow",
    )
    yield from _counted(tasks)


def _counted(operations: Iterable[str]) -> Iterator[Text | Padding]:
    """Yield a line for each kind of operation that the front door has recorded."""
    kinds = Counter(operations)
    for operation, times in kinds.most_common(MOST_NAMED):
        # Lies of a front door stand in, also where a line is folded: nothing of them looks like a line of this command.
        yield Padding(Text(f"{times:,} x {operation}", "yellow"), (0, 0, 0, 2))
    if len(kinds) > MOST_NAMED:
        yield Text(f"And {len(kinds) - MOST_NAMED} other kinds: `--json` has all.", "yellow")


def _times(what: str, times: int) -> str:
    return f"{what} ({times:,} times)" if times > 1 else what


def tree(one: "Opened", above: Tree | None = None) -> Tree:
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
        "undecided_operations": Counter(proven.compared.undecided) if proven.compared else None,
        "calls": list(_calls(proven.root, None)),
    }


def _calls(one: "Opened", caller: str | None) -> Iterator[dict[str, object]]:
    yield {
        "party": one.signer,
        "caller": caller,
        "receipt": one.digest,
        "said": json.loads(one.receipt.payload()),
    }
    for called in one.below:
        yield from _calls(called, one.signer)
