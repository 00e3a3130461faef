"""The models that may be behind the door: the script, or whatever a Llama Stack (OGX) server offers.

One fact chooses: if the registry says that this service reaches a server `llamastack`, that server is used, and
otherwise the script.  No agent knows.
"""

from typing import Protocol

from inference.answer import Reply
from inference.chat import Conversation


class Backend(Protocol):
    """What answers conversations."""

    async def models(self) -> list[str]:
        """Return the names of its models, the one behind the name `default` first.  Raises `Denied`."""

    def model(self, asked: str) -> str:
        """Return the name of the model that a client asks for.  Raises `Denied` if it is not offered."""

    async def reply(self, model: str, conversation: Conversation) -> Reply:
        """Return its next message.  Raises `Denied`."""
