"""A control of the realm is taken away, and only that one; that an attack then succeeds is shown in tests/attacks."""

from typing import Any

import pytest

from lab import realm as lab
from lab.realm import RealmControl, weaken
from lab.without import NoSuchControl
from registration.realm import realm
from zerotrust.registry.model import Registry

CONTROLS = [control for control in vars(lab).values() if isinstance(control, RealmControl)]


@pytest.fixture
def derived(registry: Registry) -> dict[str, Any]:
    return realm(registry)


@pytest.mark.parametrize("control", CONTROLS, ids=str)
def test_every_control_is_there_to_be_taken_away(
    registry: Registry, derived: dict[str, Any], control: RealmControl
) -> None:
    assert weaken(derived, control) != derived
    assert derived == realm(registry)


def test_two_lines_can_be_missing_from_the_script_at_once(derived: dict[str, Any]) -> None:
    text = weaken(derived, lab.OWN_TOKEN, lab.REPEATED)["attributes"]["script"]

    assert "own token" not in text
    assert "actor repeated" not in text
    assert "chain missing" in text


def test_a_line_that_the_script_does_not_have_is_no_control(derived: dict[str, Any]) -> None:
    with pytest.raises(NoSuchControl, match="occurs 0 times"):
        weaken(derived, lab.OWN_TOKEN, lab.OWN_TOKEN)
