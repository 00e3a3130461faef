"""A share of requests under way: it is forgotten with the last of them."""

from zerotrust.hardening.in_flight import InFlight


def test_nobody_is_remembered_who_has_nothing_under_way() -> None:
    requests = InFlight()
    for number in range(1000):
        requests.take(f"user-{number}", 1)
        requests.take(f"user-{number}", 1)
        requests.give_back(f"user-{number}")

    assert not requests._held
