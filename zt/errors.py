"""The errors of a command, each with the next step."""

STARTED_BY = "`make up` or `docker compose up --wait` starts it."


class CommandError(Exception):
    """The command failed, for a `reason`.  The text names the cause and the next step."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class RefusedError(CommandError):
    """An authority refused, with this `answer`: its status and reason."""

    def __init__(self, text: str, status: int, reason: str) -> None:
        super().__init__(text, reason)
        self.status = status
        self.answer = f"{status} {reason}"


def not_running(who: str, where: str, error: Exception) -> CommandError:
    """Return the message for a person if no answer comes."""
    return CommandError(f"{who} does not answer at {where} ({error}): is it running? {STARTED_BY}", "not_running")
