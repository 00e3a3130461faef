"""The models behind the inference service: the script, or those of a Llama Stack (OGX) server.

The registry decides: if it says that this service reaches a server `llamastack`, that server is used, and otherwise the
script.  No agent knows which.
"""

from typing import Protocol

from inference.answer import Reply
from inference.backends.scripted import Scripted
from inference.chat import Conversation
from inference.settings import ModelSettings
from zerotrust.service import Service

SERVER = "llamastack"
"""The model server's name in the registry, and the audience of the tokens for it."""


class Backend(Protocol):
    """Answers conversations."""

    async def models(self) -> list[str]:
        """Return the names of its models, the one behind the name `default` first.  Raises `Denied`."""

    def model(self, asked: str) -> str:
        """Return the name of the model that a client asks for.  Raises `Denied` if it is not offered."""

    async def reply(self, model: str, conversation: Conversation) -> Reply:
        """Return its next message.  Raises `Denied`."""


class Choice:
    """The script, or the server that the registry says this service reaches."""

    def __init__(self, service: Service, settings: ModelSettings) -> None:
        """Raises `ClientMissing` if there is such a server, and its client is not installed."""
        self._service, self._settings = service, settings
        self._script, self._servers = Scripted(), dict[str, Backend]()
        self.backend()  # a missing client is noticed at the start

    def backend(self) -> Backend:
        """Return the backend for a request.  Raises `ClientMissing`."""
        if (origin := self._service.outside.get(SERVER)) is None:
            return self._script
        if origin not in self._servers:
            # Imported only where it is used: its client costs half a second and 30 MB.
            from inference.backends.llama_stack import LlamaStack  # noqa: PLC0415

            self._servers = {origin: LlamaStack(self._service, SERVER, origin, self._settings)}
        return self._servers[origin]
