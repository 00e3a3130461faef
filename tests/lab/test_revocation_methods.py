"""What the ways to revoke leave behind for whoever signs in next."""

import time
from typing import Any, cast

from demo.revocation_methods import REVOCATION_METHODS, Use


async def test_after_a_revoked_token_the_next_sign_in_is_in_a_later_second() -> None:
    began = int(time.time())

    await REVOCATION_METHODS["revoke_token"].undo(cast("Use", cast("Any", None)))

    assert int(time.time()) > began
