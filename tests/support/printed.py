"""What a program prints on a terminal, without what the width of the terminal does to it."""


def unspaced(text: str) -> str:
    """Return the text without white space: a long path is broken at the end of a line, as words are."""
    return "".join(text.split())
