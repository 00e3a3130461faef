"""Checks an agent's card, then calls the agent (A2A 1.0, JSON-RPC) with the SDK.  `a2a.py` is the other side."""

import httpx
from a2a.client import A2AClientError, ClientConfig, ClientFactory
from a2a.helpers.proto_helpers import get_data_parts, get_message_text, new_message, new_text_part
from a2a.types import Role, SendMessageRequest
from a2a.utils.errors import A2AError

from zerotrust.adapters.agent_card import CARD_PATH, agent_card, check_card
from zerotrust.adapters.answer import LONGEST_REFUSAL, NONSENSE, Answer, PeerError, no_answer_error, refusal_error
from zerotrust.adapters.model_choice import DEFAULT_MODEL
from zerotrust.decision import Denied, Reason
from zerotrust.issuer.exchange import ExchangedToken
from zerotrust.limits.answers import ask
from zerotrust.limits.bounded import cut
from zerotrust.service import Service
from zerotrust.spiffe.svid import WorkloadError
from zerotrust.transport.egress import calling_with

MAX_CARD = 64 * 1024
"""Bytes of an agent's card."""
LONGEST_ANSWER = 160 * 1024
"""Bytes of an agent's answer as JSON, with its account.  A task's answer has those of two agents and the last text once
more.  As much again is for the receipts (`MAX_VALUE`), which step 10 of a verification, completeness, needs."""
TOO_LONG = f"answered with more than {LONGEST_ANSWER:,} bytes"


async def check_agent(service: Service, name: str) -> None:
    """Check that the agent `name` has its approved card, signed with its SVID.

    The card is fetched again when its signature has expired, or the trust bundle has changed.
    Raises `Denied`, also if the agent cannot be reached, and `PeerError` if it refuses this party.
    """
    url, signer = f"{service.addresses[name]}{CARD_PATH}", service.registry.id(name)
    try:
        own = service.workload.svid
        good = (name, service.snapshot.approved[name].card, frozenset(own.bundle))
        if service.checked.get(good, 0.0) > service.clock():  # control: card-remembered-by-content
            return
        status, sent = await ask(service.egress.without_token, "GET", url, most=MAX_CARD)
        if status == 503:
            raise Denied(Reason.PEER_UNAVAILABLE, f"{name}: status {status}")
        if status in (401, 403):  # it refuses this party, which says nothing against its card
            raise PeerError(
                refusal_error(name, httpx.Response(status, content=sent)).message
            )  # the agent has done nothing
        until = check_card(sent, signer=signer, digest=good[1], own=own, now=service.clock())
    except (httpx.HTTPError, WorkloadError) as error:
        raise Denied(Reason.PEER_UNAVAILABLE, f"{name}: {error}") from error
    except ValueError as error:
        await service.distrust(name, str(error))
    else:
        service.checked[good] = until  # control: card-remembered-until-its-end


async def ask_agent(
    service: Service, name: str, text: str, token: ExchangedToken, *, model: str = DEFAULT_MODEL
) -> Answer:
    """Check the card of the agent `name`, then call the agent with a token that was exchanged for it.

    `model`: the model that the agent is to ask for; it is the member `model` of the message's metadata.
    Raises `Denied` if the card is not as approved, and `PeerError`: with the agent's account if it did not finish, and
    `unclear` if the call may have taken effect.
    """
    await check_agent(service, name)  # control: peer-card-checked
    config = ClientConfig(streaming=False, httpx_client=service.egress.http)
    # control: peer-address-from-registry
    card = agent_card(name, service.addresses[name], service.registry.scopes_at(name))
    client = ClientFactory(config).create(card)
    message = new_message([new_text_part(text)], role=Role.ROLE_USER)
    message.metadata.update({"model": model})
    question = SendMessageRequest(message=message)
    try:
        with calling_with(token):
            (reply,) = [reply async for reply in client.send_message(question)]
        (account,) = get_data_parts(reply.message.parts) or [{}]
        answer = Answer.model_validate({**account, "text": get_message_text(reply.message)})
    except Denied as error:
        if "begun" not in error.more:
            raise
        raise PeerError(f"{name}: gave no answer ({error.public_reason})", unclear=True) from error
    except A2AClientError as error:
        raise _invalid_answer_error(name, error) from error
    except A2AError as error:
        raise PeerError(f"{name}: {cut(str(error), LONGEST_REFUSAL)}", unclear=True) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:  # the SDK's, and ours
        raise PeerError(f"{name}: {NONSENSE}", unclear=True) from error
    if not reply.HasField("message"):  # control: reply-is-message
        raise PeerError(f"{name}: {NONSENSE}", unclear=True)
    if len(answer.model_dump_json().encode()) > LONGEST_ANSWER:  # control: agent-answer-bounded
        raise PeerError(f"{name}: {TOO_LONG}", unclear=True)
    if answer.broken:
        unclear, outage = bool(answer.unclear), answer.outage
        raise PeerError(f"{name}: {answer.broken}", unclear=unclear, outage=outage, account=answer)
    return answer


def _invalid_answer_error(name: str, error: A2AClientError) -> PeerError:
    cause = error.__cause__
    if isinstance(cause, httpx.TransportError):
        return no_answer_error(name, cause)
    if not isinstance(cause, httpx.HTTPStatusError):
        return PeerError(f"{name}: {NONSENSE}", unclear=True)
    return refusal_error(name, cause.response)
