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


def test_the_files_of_a_folder_are_those_within_it() -> None:
    paths = ["agents/reader/main.py", "agents/reader/deep/er.py", "agents/readers/main.py", "agents"]

    assert set(Lock(files=dict.fromkeys(paths, ONE), parties={}).files_of(["agents/reader"])) == {
        "agents/reader/main.py",
        "agents/reader/deep/er.py",
    }


def test_a_folder_that_a_party_is_without_is_left_out() -> None:
    lock = Lock(files=dict.fromkeys(["library/a.py", "library/tool/b.py", "library/tools.py"], ONE), parties={})

    assert set(lock.files_of(["library"], ["library/tool"])) == {"library/a.py", "library/tools.py"}


def test_what_changed_was_changed_added_or_is_missing() -> None:
    assert changes({"a": ONE, "b": ONE, "c": ONE}, {"a": ONE, "b": OTHER, "d": ONE}) == ["b", "c", "d"]
