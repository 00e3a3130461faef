"""The ledger's memory of its checkpoints: for each leaf, one that is not much later than the leaf."""

import random

import pytest

from authorities.audit import recent
from authorities.audit.recent import APART, Recent
from zerotrust.tlog.note import Note


def note(at: float) -> Note:
    return Note(f"{at}", ())


@pytest.mark.parametrize("seed", range(20))
def test_a_checkpoint_is_there_that_is_at_most_some_seconds_later(seed: int) -> None:
    chance, known = random.Random(seed), Recent()  # noqa: S311 - no secret
    now, size, published = 0.0, 0, list[float]()
    assert known.first(0) is None
    for _ in range(400):
        now += chance.choice([0.25, 0.25, 0.25, 3, 9.9, 10, 40])
        added = chance.randint(1, 3)
        size += added
        published += [now] * added
        known.add(size, note(now), now)

        for leaf, at in enumerate(published):
            found = known.first(leaf)
            assert found
            assert 0 <= float(found.text) - at < APART
        assert known.first(size) is None


def test_so_many_are_kept_and_then_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "MOST", 3)
    known = Recent()
    for size in range(1, 8):
        known.add(size, note(size), size * APART)

    assert [found.text for leaf in range(7) if (found := known.first(leaf))] == ["4", "4", "4", "4", "5", "6", "7"]
