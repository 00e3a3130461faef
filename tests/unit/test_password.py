"""Where a password comes from, and where it does not."""

import io

import pytest
import typer

from start.sign_in import LONGEST, ask_password


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_a_terminal_it_is_asked_for_and_not_shown_and_has_an_end_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []
    typed = "x" * LONGEST

    def prompt(text: str, *, hide_input: bool) -> str:
        asked.append((text, hide_input))
        return typed

    monkeypatch.setattr("sys.stdin", Terminal("a line\n"))
    monkeypatch.setattr(typer, "prompt", prompt)

    assert ask_password() == typed
    assert asked == [("Password", True)]
    typed += "x"
    with pytest.raises(SystemExit, match=r"^A password has at most 1024 characters\.$"):
        ask_password()


LONG = "x" * LONGEST


@pytest.mark.parametrize(
    ("text", "password"), [*((f" a b {end}", " a b ") for end in ("", "\n", "\r\n", "\nand more\n")), (LONG, LONG)]
)
def test_elsewhere_it_is_one_line_of_standard_input(monkeypatch: pytest.MonkeyPatch, text: str, password: str) -> None:
    monkeypatch.setenv("ZT_PASSWORD", "of old")
    monkeypatch.setattr("sys.stdin", io.StringIO(text))

    assert ask_password() == password


@pytest.mark.parametrize("text", ["", "\n", LONG + "x"])
def test_no_password_and_one_without_an_end_are_reported(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))

    with pytest.raises(SystemExit, match="one line of at most 1024 characters"):
        ask_password()
