"""Notes, checkpoints, cosignatures, policies and proofs of a transparency log, as C2SP defines them."""

import base64

import pytest

from tests.support.tlog import ORIGIN, Keys, Log, witness
from zerotrust.authority.log.proofs import inclusion_proof
from zerotrust.tlog.checkpoint import (
    Checkpoint,
    check_signed,
    checkpoint_of,
    cosign_checkpoint,
    cosignature_time,
    sign_checkpoint,
)
from zerotrust.tlog.note import (
    COSIGNATURE,
    ED25519,
    MAX_NOTE,
    Note,
    Signature,
    VerifierKey,
    decode_base64,
    parse_note,
    parse_verifier_key,
)
from zerotrust.tlog.proof import FORMAT, MAX_EXTRA, Proof, parse_proof
from zerotrust.tlog.quorum import MAX_LINES, policy
from zerotrust.tlog.tree import InvalidLog

VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
"""The example of the specification (c2sp.org/signed-note)."""

NOW = 1_795_741_378
LOG = Log([b"entry %d" % number for number in range(300)])
ONE, TWO, THREE, FOUR = (witness(f"witness.example/w{number}") for number in range(1, 5))


def test_the_example_of_the_specification() -> None:
    key, note = parse_verifier_key(VKEY), parse_note(NOTE.encode())

    assert (str(key), str(note)) == (VKEY, NOTE)
    [signature] = note.by(key)
    key.verify(signature, note.text.encode())
    with pytest.raises(InvalidLog, match=r"not that of example\.com/foo"):
        key.verify(signature, b"This is another message.\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        VKEY.replace("530d903a", "530d903b"),  # another id
        VKEY.replace("530d903a", "530D903A"),
        VKEY.replace("example.com", "example com"),
        VKEY + "=",
        VKEY[:-4],
        VKEY[:-1] + "l",  # bits that no spelling has
        "a+00000000+",
        "a+00000000+Ag" + "A" * 41 + "=",
    ],
)
def test_what_is_no_verifier_key(text: str) -> None:
    with pytest.raises(InvalidLog):
        parse_verifier_key(text)


@pytest.mark.parametrize(("kind", "length"), [(2, 32), (6, 32), (ED25519, 31), (COSIGNATURE, 33)])
def test_a_key_of_another_type_or_length_is_none_that_is_used_here(kind: int, length: int) -> None:
    with pytest.raises(InvalidLog, match="neither Ed25519"):
        parse_verifier_key(str(VerifierKey("a.example/log", kind, bytes(length))))


def test_what_is_not_base64_is_said_to_be_none_and_signatures_alone_are_no_note() -> None:
    with pytest.raises(InvalidLog, match="not base64"):
        decode_base64("A")
    with pytest.raises(InvalidLog, match="not a note"):
        parse_note(SIGNED.encode())


SIGNED = NOTE.partition("\n\n")[2]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"text\n",
        b"text\n\n",
        NOTE.encode()[:-1],
        NOTE.replace("— ", "- ").encode(),
        NOTE.replace("example message", "example\rmessage").encode(),
        NOTE.replace("foo Uw", "foo  Uw").encode(),
        NOTE.encode() + b"more\n",
        ("text\n\nmore\n" + SIGNED).encode(),
        NOTE.encode("utf-16"),
        b"text\n\n\xe2\x80\x94 a AAAA\n",  # an id, and no signature
        b"text\n\n\xe2\x80\x94 a +AAA.AAA\n",
        ("x" * MAX_NOTE + NOTE).encode(),
    ],
)
def test_what_is_no_note(raw: bytes) -> None:
    with pytest.raises(InvalidLog):
        parse_note(raw)


def test_the_last_empty_line_ends_the_text_of_a_note() -> None:
    note = parse_note(f"one\n\ntwo\n\n{SIGNED}".encode())

    assert note.text == "one\n\ntwo\n"


KEY = LOG.keys.public
ANOTHER, WITNESS = Checkpoint("another.example/log", 1, bytes(32)), Keys(ORIGIN, COSIGNATURE)
FORGED = Note(LOG.note().text, (*LOG.note().signatures, Signature(KEY.name, KEY.key_id, bytes(64))))
UNSIGNED: dict[str, tuple[Note, VerifierKey, str]] = {
    "by another key of its name": (LOG.note(), Keys(ORIGIN, ED25519, "another").public, "is not signed by"),
    "by another log": (LOG.note(), Keys("another.example/log", ED25519).public, "is not the key of the log"),
    "by its witness's kind of key": (LOG.note(), WITNESS.public, "is not the key of the log"),
    "a witness in place of the log": (
        sign_checkpoint(LOG.checkpoint, WITNESS.public, WITNESS.private),
        WITNESS.public,
        "is not the key of the log",
    ),
    "a log for another": (sign_checkpoint(ANOTHER, KEY, LOG.keys.private), KEY, "is not the key of the log"),
    "a forged signature in its name": (FORGED, KEY, f"not that of {ORIGIN}"),
}


@pytest.mark.parametrize(("note", "key", "why"), UNSIGNED.values(), ids=UNSIGNED)
def test_a_checkpoint_is_signed_by_its_log_alone(note: Note, key: VerifierKey, why: str) -> None:
    """The key's name is the origin of the log that it signs."""
    assert check_signed(parse_note(str(LOG.note()).encode()), KEY) == LOG.checkpoint
    with pytest.raises(InvalidLog, match=why):
        check_signed(note, key)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "log\n1\n",
        f"\n1\n{ROOT}\n",
        f"log\n01\n{ROOT}\n",
        f"log\n-1\n{ROOT}\n",
        f"log\n{2**63}\n{ROOT}\n",
        f"log\n٣\n{ROOT}\n",  # a digit, and not of ASCII
        f"log\n1\n{ROOT[:-4]}\n",
        f"log\n1\n{ROOT}\nextension\n",
        f"log\n1\x85{ROOT}\n",
    ],
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(InvalidLog):
        checkpoint_of(Note(text, ()))


def test_a_witness_says_when_it_saw_which_checkpoint() -> None:
    note = LOG.note(ONE, at=NOW)

    assert cosignature_time(note, ONE.public) == NOW
    assert cosignature_time(note, TWO.public) is None
    with pytest.raises(InvalidLog, match="not the key of a witness"):
        cosignature_time(note, LOG.keys.public)


def test_a_cosignature_is_of_one_text_at_one_time() -> None:
    text, fork = LOG.note().text, Log([b"fork"], LOG.keys).note().text
    value = cosign_checkpoint(text, ONE.public, ONE.private, NOW).value
    later = (NOW + 1).to_bytes(8, "big") + value[8:]

    for of, wrong, why in (
        *((text, wrong, "not a cosignature of") for wrong in (value + b"x", value[:-1], value[:7])),
        (text, later, "not that of"),
        (fork, value, "not that of"),
    ):
        with pytest.raises(InvalidLog, match=why):
            cosignature_time(Note(of, (Signature(ONE.public.name, ONE.public.key_id, wrong),)), ONE.public)


POLICY = f"""# One of three, and two that are not needed.
log {LOG.keys.public} https://agents.example/audit
witness one   {ONE.public}
witness two {TWO.public}\thttps://w2.example/
witness three {THREE.public}

quorum one
"""


@pytest.mark.parametrize(
    ("quorum", "witnesses", "enough"),
    [
        ("quorum none", (ONE,), True),
        ("quorum one", (ONE,), True),
        ("quorum one", (TWO, ONE), True),
        ("quorum one", (), False),
        ("quorum two", (ONE,), False),
    ],
)
def test_a_quorum_of_witnesses_is_demanded(quorum: str, witnesses: tuple[Keys, ...], enough: bool) -> None:
    reader = policy(POLICY.replace("quorum one", quorum))
    note = LOG.note(*witnesses)

    if enough:
        checkpoint, times = reader.check(note)
        assert (checkpoint, {*times.values()}) == (LOG.checkpoint, {NOW})
    else:
        by = "one" if witnesses else "no witness"
        with pytest.raises(InvalidLog, match=f"is cosigned by {by}, which is not the quorum"):
            reader.check(note)


def test_a_log_that_no_policy_names_is_not_believed() -> None:
    other = Log([b"entry"], Keys("another.example/log", ED25519))

    for note in other.note(ONE, TWO, THREE), Log([b"entry"], Keys(ORIGIN, ED25519, "another")).note(ONE, TWO, THREE):
        with pytest.raises(
            InvalidLog, match="signed by no log of the policy: either it is of another log, or the policy is"
        ):
            policy(POLICY).check(note)


def test_a_signature_of_another_known_log_beside_its_own_takes_nothing_from_a_checkpoint() -> None:
    other = Keys("another.example/log", ED25519)
    both = policy(POLICY.replace("quorum one", f"log {other.public}\nquorum none"))
    beside = sign_checkpoint(LOG.checkpoint, other.public, other.private).signatures

    assert both.check(Note(LOG.note().text, (*beside, *LOG.note().signatures)))[0] == LOG.checkpoint


@pytest.mark.parametrize(
    ("instead", "of", "why"),
    [
        ("", "quorum one", "no quorum line"),
        ("quorum one\nquorum one", "quorum one", "line 8 .*: an unknown or repeated name"),
        ("quorum nobody", "quorum one", "an unknown or repeated name"),
        ("quorum", "quorum one", "an unknown or repeated name"),
        ("quorum one now", "quorum one", "an unknown or repeated name"),
        ("group most any one two\nquorum one", "quorum one", "an unknown or repeated name"),
        ("keyring most\nquorum one", "quorum one", "an unknown or repeated name"),
        (f"log {LOG.keys.public}\nquorum one", "quorum one", "is there twice"),
        (f"witness four {ONE.public}\nquorum one", "quorum one", "is there twice"),
        (
            f"witness three {witness('witness.example/w4').public}\nquorum one",
            "quorum one",
            "an unknown or repeated name",
        ),
        (f"witness four {LOG.keys.public}\nquorum one", "quorum one", "another type"),
        (f"log {ONE.public}\nquorum one", "quorum one", "another type"),
        ("log x\nquorum one", "quorum one", "not a verifier key"),
        ("quorum one\r", "quorum one", "control characters"),
        ("quorum one" + MAX_LINES * "\n", "quorum one", "more than"),
    ],
)
def test_what_is_no_policy(instead: str, of: str, why: str) -> None:
    assert of in POLICY
    with pytest.raises(InvalidLog, match=why):
        policy(POLICY.replace(of, instead))


def proved(index: int) -> Proof:
    hashes = tuple(inclusion_proof(index, len(LOG.entries), LOG.node))
    return Proof(index, hashes, LOG.note(ONE, TWO))


def test_extra_data_of_a_proof_is_passed_over() -> None:
    text = str(proved(1)).replace("index 1\n", "extra YWdl\nindex 1\n")

    assert parse_proof(text.encode()) == proved(1)


@pytest.mark.parametrize("raw", [f"{FORMAT}\n\n{LOG.note()}", f"{FORMAT}\nindex 1\n", FORMAT, ""])
def test_a_proof_has_an_index_and_a_checkpoint(raw: str) -> None:
    with pytest.raises(InvalidLog, match="not a proof"):
        parse_proof(raw.encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tlog-proof@v1", "tlog-proof@v2"),
        ("index 1\n", ""),
        ("index 1\n", "index 01\n"),
        ("index 1\n", f"index 1\n{ROOT[:-4]}\n"),
        ("index 1\n", f"index 1\n{64 * (ROOT + chr(10))}"),
        ("index 1\n", "extra -\nindex 1\n"),
        ("index 1\n", f"extra {'A' * 4 * (MAX_NOTE + MAX_EXTRA)}\nindex 1\n"),
        ("\n\n", "\n"),
        ("— ", "- "),
    ],
)
def test_what_is_no_proof(old: str, new: str) -> None:
    assert old in str(proved(1))
    with pytest.raises(InvalidLog):
        parse_proof(str(proved(1)).replace(old, new).encode())


def test_a_policy_says_where_a_witness_is_asked_and_need_not() -> None:
    found = policy(f"witness one {ONE.public} https://one.example/\nwitness two {TWO.public}\nquorum one\n")

    assert found.addresses == {"one": "https://one.example/"}
