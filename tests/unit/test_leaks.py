"""What the tests of leaks look for is a token, and is not chance."""

import jwt
import pytest

from tests.support.leaks import holds_token

TOKEN = jwt.encode({"sub": "alice"}, "k" * 32, headers={"kid": "k1"})


@pytest.mark.parametrize(
    "said",
    [
        TOKEN,
        f"Bearer {TOKEN}",
        TOKEN.partition(".")[2],
        TOKEN[: TOKEN.index(".") + 2],
        TOKEN.encode(),
        f'{{"{TOKEN}":1}}',
    ],
)
def test_a_token_is_seen_whole_and_in_part(said: str | bytes) -> None:
    assert holds_token(said)


@pytest.mark.parametrize("said", ["", 'sessionId="w-6y0tUneyJthgjAjIAZs_t2", ip="1.2.3.4"', "eyJ", b"\xffeyJ\n."])
def test_a_random_identifier_is_no_token(said: str | bytes) -> None:
    assert not holds_token(said)
