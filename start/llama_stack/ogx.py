"""The configuration of a Llama Stack (OGX) server, derived from the registry, and its TLS key.

The server is not a party.  It checks again, after us: who issued a token and for whom, until when
it is valid, and which of its APIs each scope opens.  It looks neither at `act` nor at who sends a token.
"""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from authorities.attestation.spiffe.certificates import new_key

NAME = "llamastack"
"""The server's name in the registry, and the audience of the tokens for it."""
PORT = 8321
"""The Llama Stack server, with `MODEL=llama-stack`."""
SCOPES = {"llama.chat": ["/v1/chat/completions"], "llama.models": ["/v1/models", "/v1/models/*"]}
"""The paths that each scope opens, and nothing else opens.  The server's rules know no HTTP methods."""
DAYS = 3650
"""The life of the server's certificate.  Its key is pinned; a new key is enrolled."""
SECONDS_FRESH = 300
"""How long the issuer's keys are used before the server reads them again."""
SECONDS_MODELS = 30
"""Between two looks at which models there are; a model server may start later than this server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the server runs, and where it finds whom it needs."""

    issuer: str
    keys_uri: str
    """The address of the issuer's JWKS."""
    ca: str
    """The file with the CA of the JWKS's server."""
    host: str
    port: int = PORT
    certificate: str
    key: str
    folder: str
    """For its databases, which hold what it knows of models: neither prompts nor answers."""


@dataclass(frozen=True, slots=True)
class Provider:
    """The model behind it, with an OpenAI-compatible API."""

    url: str
    key: str = ""
    models: tuple[str, ...] = ()
    """The models of it that are offered; without any, all that it lists."""


def configuration(place: Place, provider: Provider) -> str:
    """Return the server's configuration, as JSON, which is YAML.  Pure."""
    # What is left to nobody: models are made, changed and removed by whoever configures the server.
    read = [{"permit": {"actions": ["read"], "resource": "model::*"}, "when": _holds(scope)} for scope in SCOPES]
    server = {
        "host": place.host,
        "port": place.port,
        "registry_refresh_interval_seconds": SECONDS_MODELS,
        "tls_certfile": place.certificate,
        "tls_keyfile": place.key,
        "auth": {
            "provider_config": {
                "type": "oauth2_token",
                "audience": NAME,
                "issuer": place.issuer,
                "jwks": {"uri": place.keys_uri, "key_recheck_period": SECONDS_FRESH},
                "tls_cafile": place.ca,
                "claims_mapping": {"scope": "scopes"},
            },
            "route_policy": [{"permit": {"paths": paths}, "when": _holds(scope)} for scope, paths in SCOPES.items()],
            "access_policy": read,
        },
    }
    config: dict[str, Any] = {
        "version": 2,
        "distro_name": "zero-trust-agents",
        "apis": ["inference"],
        "providers": {"inference": [_provider(provider)]},
        "storage": _storage(place.folder),
        "registered_resources": {"models": []},
        "server": server,
    }
    return json.dumps(config, indent=2)


def _holds(scope: str) -> str:
    return f"user with {scope} in scopes"


def _provider(provider: Provider) -> dict[str, Any]:
    # Without any key its client refuses to start; a server that asks for none ignores this one.
    config: dict[str, Any] = {"base_url": provider.url, "api_key": provider.key or "none", "refresh_models": True}
    if provider.models:
        config["allowed_models"] = list(provider.models)
    return {"provider_id": "provider", "provider_type": "remote::openai", "config": config}


def _storage(folder: str) -> dict[str, Any]:
    return {
        # These names are the server's defaults for what is not named here.
        "backends": {
            "kv_default": {"type": "kv_sqlite", "db_path": f"{folder}/kv.db"},
            "sql_default": {"type": "sql_sqlite", "db_path": f"{folder}/sql.db"},
        },
        "stores": {
            "metadata": {"namespace": "registry", "backend": "kv_default"},
            # Neither prompts nor answers are kept, and so `GET /v1/chat/completions`, which would list them, has none.
            "inference": {"table_name": "inference", "backend": "sql_default", "enabled": False},
        },
    }


@dataclass(frozen=True, slots=True)
class ServerKey:
    """A TLS key with its self-signed certificate, both in PEM, and the pin of the key."""

    key: bytes
    certificate: bytes
    spki_sha256: str


def new_server_key(host: str, now: dt.datetime) -> ServerKey:
    """Return a new key for a server of this name.  Only its pin tells who it is (`zerotrust.spiffe.tls`)."""
    key, name = new_key(), x509.Name([])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return ServerKey(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate.public_bytes(Encoding.PEM),
        hashlib.sha256(public).hexdigest(),
    )
