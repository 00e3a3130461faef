"""Where a password comes from, and where it does not."""

import io

import pytest
import typer

from local.password import LONGEST, ask_password


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_a_terminal_it_is_asked_for_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []

    def prompt(text: str, *, hide_input: bool) -> str:
        asked.append((text, hide_input))
        return "typed"

    monkeypatch.setattr("sys.stdin", Terminal("a line\n"))
    monkeypatch.setattr(typer, "prompt", prompt)

    assert ask_password() == "typed"
    assert asked == [("Password", True)]


def test_at_a_terminal_it_has_an_end_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    typed = "x" * LONGEST
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(typer, "prompt", lambda *_, **__: typed)
    assert ask_password() == typed

    typed += "x"
    with pytest.raises(SystemExit, match=r"^A password has at most 1024 characters\.$"):
        ask_password()


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\nand more\n"])
def test_elsewhere_it_is_one_line_of_standard_input(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    monkeypatch.setenv("ZT_PASSWORD", "of old")
    monkeypatch.setattr("sys.stdin", io.StringIO(f" a b {end}"))

    assert ask_password() == " a b "


@pytest.mark.parametrize("text", ["", "\n", "x" * (LONGEST + 1)])
def test_no_password_and_one_without_an_end_are_reported(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))

    with pytest.raises(SystemExit, match="one line of at most 1024 characters"):
        ask_password()


def test_the_longest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("x" * LONGEST))

    assert ask_password() == "x" * LONGEST
