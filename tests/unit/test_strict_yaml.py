"""YAML: whatever is wrong with a text is one kind of error."""

import pytest

from zerotrust.authority.files.strict_yaml import strict_yaml


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: 2026-99-99", "not a value of 'timestamp'.*line 1, column 4"),
        ("a: !!timestamp x", "not a value of 'timestamp'"),
        ("a: !!int x", "not a value of 'int'"),
        ("a: !!int ''", "not a value of 'int'"),
        ("a: !!bool x", "not a value of 'bool'"),
        (f"a: {'1:' * 400}1.5", "not a value of 'float'"),  # in base 60: no float is as large
        (f"a: {'9' * 5000}", "not a value of 'int'"),
        ("a: 1\nb: 2\na: 3", "duplicate name 'a'.*line 3"),
        ("a: {b: 1, b: 2}", "duplicate name 'b'"),
        ("? [a]\n: b", "unhashable"),
        ("[" * 900, "nested too deep"),
        ("[", "expected the node content"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_whatever_is_wrong_is_a_value_error_that_says_what(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){why}"):
        strict_yaml(text.encode())
    with pytest.raises(ValueError, match="utf-8"):
        strict_yaml("a: é".encode("latin-1"))
