"""Lists the models of the inference service, with the user's right to do so."""

import httpx

from zerotrust.decision import Denied, Reason
from zerotrust.service import Service
from zerotrust.transport.egress import calling_with

INFERENCE = "inference"


async def models(service: Service) -> list[str]:
    """Return the names of the models.  Raises `Denied`, also if the inference service gives no valid answer."""
    token = await service.exchange(INFERENCE, "model.read", "llama.models")
    try:
        with calling_with(token):
            answer = await service.egress.http.get(f"{service.addresses[INFERENCE]}/v1/models")
        return [str(model["id"]) for model in answer.raise_for_status().json()["data"]]
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        raise Denied(Reason.PEER_UNAVAILABLE, f"{INFERENCE}: {error}") from error
