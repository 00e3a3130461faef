"""The scripted model as a backend: no server, no network, the same answer each time.

Sampling options (`temperature`, `max_tokens`, `stop`, `seed` ...) are ignored, because a script does not sample.
"""

from inference.answer import Reply, Usage
from inference.chat import DEFAULT, NEVER_SERVED, Conversation, Defaults, unknown_model
from inference.script import reply

MODEL = "scripted"
DEFAULTS: Defaults = {**NEVER_SERVED, "response_format": ({"type": "text"},), "tool_choice": ("auto",)}


class Scripted:
    """The one scripted model."""

    async def models(self) -> list[str]:
        return [MODEL]

    def model(self, asked: str) -> str:
        """Return its name.  Raises `Denied` for any other."""
        if asked not in (DEFAULT, MODEL):
            raise unknown_model(asked, f"There is one model here: {MODEL}.")
        return MODEL

    async def reply(self, _model: str, conversation: Conversation) -> Reply:
        """Return its next message.  The usage counts words, because a script has no tokens.  Raises `Denied`."""
        conversation.check(DEFAULTS)
        messages = [message.model_dump() for message in conversation.messages]
        message = reply(messages, {tool.function.name: tool.function.texts for tool in conversation.tools or []})
        calls, content = tuple(message.get("tool_calls", ())), message["content"]
        said = sum(len((one.content or "").split()) for one in conversation.messages)
        usage = Usage(said, len((content or "").split()))
        return Reply(content, calls, finish="tool_calls" if calls else "stop", usage=usage)
