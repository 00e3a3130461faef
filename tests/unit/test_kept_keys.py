"""The keys of a trust domain outlive attestation's container, private and whole."""

import json
from pathlib import Path

import pytest

from authorities.attestation.containers.key_file import FILE, KeysError, load_keys
from authorities.attestation.spiffe.svid_issuer import Issuer


def test_the_same_keys_are_there_after_a_restart(tmp_path: Path) -> None:
    first, second = (Issuer("agents.example", load_keys(tmp_path)) for _ in range(2))

    keys = [[key["x"] for key in json.loads(one.bundle())["keys"]] for one in (first, second)]
    assert keys[0] == keys[1]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"jwt": "x", "jwt_name": "n", "ca": "x", "ca_name": "n"}'])
def test_damaged_keys_are_named_and_not_replaced(tmp_path: Path, content: str) -> None:
    load_keys(tmp_path)
    (tmp_path / FILE).write_text(content)

    with pytest.raises(KeysError, match="is damaged"):
        load_keys(tmp_path)
    assert (tmp_path / FILE).read_text() == content
