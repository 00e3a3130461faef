"""Chooses the backend for each request, by what the registry says at that time."""

from inference.backends import Backend
from inference.backends.scripted import Scripted
from inference.settings import ModelSettings
from zerotrust.service import Service

SERVER = "llamastack"
"""The model server's name in the registry, and the audience of the tokens for it."""


class Choice:
    """The script, or the server that the registry says this service reaches."""

    def __init__(self, service: Service, settings: ModelSettings) -> None:
        """Raises `ClientMissing` if there is such a server, and its client is not installed."""
        self._service, self._settings = service, settings
        self._script, self._servers = Scripted(), dict[str, Backend]()
        self.backend()  # what is missing is noticed at the start

    def backend(self) -> Backend:
        """Return the backend for a request.  Raises `ClientMissing`."""
        if (origin := self._service.outside.get(SERVER)) is None:
            return self._script
        if origin not in self._servers:
            # Its client costs half a second and 30 MB, which only who uses it should pay.
            from inference.backends.llama_stack import LlamaStack  # noqa: PLC0415

            self._servers = {origin: LlamaStack(self._service, SERVER, origin, self._settings)}
        return self._servers[origin]
