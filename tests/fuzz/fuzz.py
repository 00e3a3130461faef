"""Coverage-guided fuzzing of one target: `start/run tests.fuzz.fuzz TARGET [libFuzzer's options]`.

It begins with valid examples, goes on with what earlier runs found worth keeping, and keeps whatever breaks something
under run/fuzz/TARGET.
"""

import re
import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]  # not for every machine

with atheris.instrument_imports(include=["zerotrust", "jwt", "json", "tests.fuzz"]):
    from tests.fuzz.targets import TARGETS, seeds


def main() -> None:
    """Fuzz until told to stop by an option, or until something breaks."""
    target, *options = sys.argv[1:]
    folder = Path("run") / "fuzz" / target
    corpus, found = folder / "corpus", folder / "found"
    for made in (corpus, found):
        made.mkdir(parents=True, exist_ok=True)
    examples = seeds(target)
    for number, example in enumerate(examples):
        (corpus / f"seed-{number}").write_bytes(example)
    words = set(re.findall(r'"\w+"|[\[\]{},:.]|\w+', b" ".join(examples).decode()))
    dictionary = folder / "dictionary"
    dictionary.write_text("".join('"' + word.replace('"', '\\"') + '"\n' for word in sorted(words) if word.isascii()))
    fixed = [f"-dict={dictionary}", f"-artifact_prefix={found}/", "-max_len=4096", "-timeout=10"]
    atheris.Setup([sys.argv[0], str(corpus), *fixed, *options], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
