"""JSON that two parsers cannot read differently."""

import pytest

from zerotrust.limits.strict_json import EXACT, MAX_DEPTH, MAX_ELEMENTS, check_size, strict_object


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"a": 1, "a": 2}', id="a name twice"),
        pytest.param(b'{"a": 1, "\\u0061": 2}', id="a name twice, once escaped"),
        pytest.param(b'{"a": {"b": 1, "b": 1}}', id="a name twice, further in"),
        pytest.param(b'{"a": NaN}', id="NaN"),
        pytest.param(b'{"a": Infinity}', id="Infinity"),
        pytest.param(b'{"a": -Infinity}', id="-Infinity"),
        pytest.param(b'{"a": %d}' % (EXACT + 1), id="a number that others would round"),
        pytest.param(b'{"a": -%d}' % (EXACT + 1), id="a negative number that others would round"),
        pytest.param(b'{"a": %s}' % (b"9" * 5000), id="a number too long to read"),
        pytest.param(b'{"a": 1e999}', id="a number that others would not have"),
        pytest.param(b'{"a": -1e999}', id="a negative number that others would not have"),
        pytest.param(b'{"a": "\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"\\udfff": 1}', id="half a surrogate pair as a name"),
        pytest.param(b'{"a": ' * 200_000, id="nested too deep"),
        pytest.param(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="nested too deep, and whole"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"a"', id="a text"),
        pytest.param(b"null", id="null"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"{} {}", id="two objects"),
        pytest.param(b"{'a': 1}", id="single quotes"),
        pytest.param(b'{"a": 1,}', id="a trailing comma"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', id="a byte order mark"),
        pytest.param('{"a": 1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a": "\xff"}', id="no UTF-8"),
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - that is the promise
        strict_object(text)


@pytest.mark.parametrize(("opening", "closing"), [(b'{"a":', b"}"), (b"[", b"]"), (b'[{"a":', b"}]")])
def test_nesting_has_a_bound(opening: bytes, closing: bytes) -> None:
    times = (MAX_DEPTH - 1) // (opening.count(b"{") + opening.count(b"["))
    text = b'{"a": ' + opening * times + b"0" + closing * times + b"}"

    assert strict_object(text)
    with pytest.raises(ValueError, match="nested too deep"):
        strict_object(text.replace(b"0", b'[{"a": 0}]'))


def test_many_objects_beside_each_other_are_not_deep() -> None:
    assert strict_object(b'{"a": [' + b'{"b": 1}, ' * (MAX_ELEMENTS // 4) + b"[2]]}")


@pytest.mark.parametrize(
    ("element", "counts"),
    [(b"0,", 1), (b"[],", 2), (b'"",', 1), (b'{"":0},', 3), (b'"a,b:c[{",', 1), (rb'"\"[,\\",', 1), (b"[[0],[]],", 5)],
)
def test_the_number_of_elements_has_a_bound_whatever_they_are(element: bytes, counts: int) -> None:
    def of(times: int) -> bytes:
        return b'{"a":[' + element * times + b"0]}"

    times = (MAX_ELEMENTS - 3) // counts
    assert strict_object(of(times))
    with pytest.raises(ValueError, match="too many elements"):
        strict_object(of(times + 1))


def test_a_text_whose_signer_is_trusted_may_have_more_elements_and_not_more_depth() -> None:
    many = b"0," * MAX_ELEMENTS

    assert strict_object(b'{"a":[%b0]}' % many, most=None)
    with pytest.raises(ValueError, match="nested too deep"):
        strict_object(b'{"a":[%b0,%b0%b]}' % (many, b"[" * MAX_DEPTH, b"]" * MAX_DEPTH), most=None)


@pytest.mark.parametrize(
    "piece", [b"[", b"]", b'{"":0},', b"0,", b'"",', b'"["', b"[[[]]],", b"1e9,", b'{"a":', b'{"a":[],"":0},']
)
def test_a_text_with_too_much_in_it_never_gets_to_the_parser(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zerotrust.limits.strict_json.json.loads", lambda *_, **__: pytest.fail("it was parsed"))

    with pytest.raises(ValueError, match=r"too many elements|nested too deep"):
        strict_object(b'{"a":[' + piece * ((1 << 20) // len(piece)))


def test_what_a_parser_would_have_to_guess_is_refused_before_it_is_counted() -> None:
    with pytest.raises(ValueError, match="not UTF-8"):
        check_size('{"a": 1}'.encode("utf-16"), None)
