"""The parts of the walkthrough: each has a title and a sentence about what comes, and why."""

from rich.text import Text

from start.program import console, paragraph

INTRODUCTION = (
    "alice works in engineering. She has two agents summarize her department's incident reports and file the summary. "
    "One report is poisoned: it orders the agents to read a document of finance, and to overwrite a published report. "
    "You will see who takes part, the task with all its tokens and records, and then one real attack after another. "
    "The model is a script, so every run is the same; another model may act otherwise. "
    "docs/learn/walkthrough.md explains each part."
)
NO = "\N{EN DASH}"
"""Where there is nothing to show."""


def begin(title: str, sentence: str = "") -> None:
    """Begin a part, with a sentence about what comes."""
    console.print()
    console.rule(Text(title, "bold"), characters="─")
    if sentence:
        paragraph(sentence)
        console.print()
