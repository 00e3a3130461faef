"""The lock: a mistake in it is refused with file, key and reason, and nobody starts on half of one."""

from pathlib import Path

import orjson
import pytest

from zerotrust.authority.files.lock import Lock, changes, load_lock
from zerotrust.authority.files.reading import RegistryError

ONE, OTHER = "1" * 64, "2" * 64
GOOD = {"files": {"inference/main.py": ONE}, "parties": {"inference": {"code": ONE}}}


def written(folder: Path, document: object) -> Path:
    file = folder / "registry.lock"
    file.write_bytes(orjson.dumps(document))
    return file


MISTAKES = {
    "no digest": ({"files": {"a": "1"}, "parties": {}}, "files.a"),
    "a digest in capitals": ({"files": {"a": "A" * 64}, "parties": {}}, "files.a"),
    "a key nobody knows": (GOOD | {"trusted": True}, "trusted"),
    "a key of a party nobody knows": (GOOD | {"parties": {"inference": {"codes": ONE}}}, "parties.inference.codes"),
    "a number for a digest": (GOOD | {"registry": {"freshness": 1}}, "registry.freshness"),
    "a name that is none": (GOOD | {"parties": {"../inference": {}}}, "parties.../inference"),
    "no files": ({"parties": {}}, "files"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_file_key_and_reason(tmp_path: Path, mistake: str) -> None:
    document, key = MISTAKES[mistake]
    file = written(tmp_path, document)

    with pytest.raises(RegistryError) as refused:
        load_lock(file)

    assert str(refused.value).startswith(f"{file}: {key}")


def test_the_files_of_a_party_are_those_that_it_runs() -> None:
    lock = Lock(
        files={"agents/reader/main.py": ONE, "library/a.py": ONE}, runs={"reader": ["library/a.py"]}, parties={}
    )

    assert lock.files_of("reader") == {"library/a.py": ONE}
    assert lock.files_of("writer") == {}


def test_what_changed_was_changed_added_or_is_missing() -> None:
    assert changes({"a": ONE, "b": ONE, "c": ONE}, {"a": ONE, "b": OTHER, "d": ONE}) == ["b", "c", "d"]
