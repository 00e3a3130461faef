"""A plugin of pytest with the fixtures `zt_...`: the system in real containers, its users, and rogues; and with the
issuer of the delegation kit.

pytest loads it wherever this package is installed, so it imports nothing until a test asks for one of its fixtures.
The extra `testbed` has what those of the system need.
"""

import runpy
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from testkit.delegation import Issuer
    from testkit.intruders import Intruder
    from testkit.rogue import Verdict
    from testkit.stack import Stack
    from testkit.users import User


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; those of the system begin with `zt`."""
    parser.addini("zt_folder", "the checkout with docker-compose.yml, from the folder of the ini file", default=".")
    parser.addini("zt_files", "the compose files in it, if not the default one", type="args", default=[])
    parser.addini("zt_without_docker", "`fail` or `skip` tests where no Docker answers", default="fail")
    group = parser.getgroup("zero-trust-agents")
    group.addoption("--zt-keep", action="store_true", help="use the containers that run, and leave them running")
    group.addoption(
        "--delegation", metavar="FILE", help="a Python file whose function `issuer` returns the issuer to try"
    )


@pytest.fixture(scope="session")
def delegation_issuer(pytestconfig: pytest.Config) -> "Issuer":
    """The issuer that the checks of `testkit.delegation` try."""
    file = pytestconfig.getoption("--delegation")
    if not file:
        pytest.fail("no issuer is named: add --delegation FILE (docs/how-to/delegation-kit.md)", pytrace=False)
    described: Issuer = runpy.run_path(file)["issuer"]()
    return described


@pytest.fixture(scope="session")
def zt_stack(pytestconfig: pytest.Config) -> "Iterator[Stack]":
    """All containers, healthy; nothing of them is left at the end, unless they are kept."""
    from testkit.stack import NoDockerError, Stack  # noqa: PLC0415 - only where a test asks for it
    from zerotrust.authority.files.reading import RegistryError  # noqa: PLC0415

    otherwise = pytestconfig.getini("zt_without_docker")
    if otherwise not in {"fail", "skip"}:
        pytest.fail(f"zt_without_docker is {otherwise!r}: it has to be fail or skip", pytrace=False)
    folder = (pytestconfig.inipath or pytestconfig.rootpath / "pytest.ini").parent / pytestconfig.getini("zt_folder")
    try:
        stack, why = Stack(folder.resolve(), pytestconfig.getini("zt_files")), ""
    except NoDockerError as error:
        if otherwise == "skip":
            pytest.skip(str(error))
        why = str(error)
    except RegistryError as error:
        why = f"zt_folder is {folder.resolve()}: {error}"
    if why:  # outside of the block, or it would be said once more, as what led to it
        pytest.fail(why, pytrace=False)
    with stack.running(keep=pytestconfig.getoption("--zt-keep")):
        yield stack


@pytest.fixture
def zt_user(zt_stack: "Stack") -> "Callable[..., User]":
    """Signs a user in: `zt_user("alice")`."""
    from testkit.users import sign_in  # noqa: PLC0415

    return partial(sign_in, zt_stack)


@pytest.fixture
def zt_intruder(zt_stack: "Stack") -> "Callable[[str], Intruder]":
    """An intruder inside a genuine workload: `zt_intruder("agent/quotes")`."""
    from testkit.intruders import Intruder  # noqa: PLC0415

    return partial(Intruder, zt_stack)


@pytest.fixture
def zt_token(zt_stack: "Stack") -> "Callable[..., str]":  # noqa: ARG001 - it has to run
    """A token at any hop, for the last party: `zt_token(alice, "planner", "agent/quotes", "tool/prices")`."""
    from testkit.intruders import token_at  # noqa: PLC0415

    return token_at


@pytest.fixture(scope="session")
def zt_operator(zt_stack: "Stack") -> "Callable[..., dict[str, Any]]":
    """Operates without a person, by a command of `zt`: `zt_operator("party", "suspend", "agent/quotes")`."""
    from testkit.operator import built, operate  # noqa: PLC0415

    return partial(operate, built(zt_stack))


@pytest.fixture
def zt_recorded(zt_stack: "Stack") -> "Callable[[httpx.Response | str], dict[str, list[str]]]":
    """The reasons of the refusals on record for an answer: `zt_recorded(answer) == {"tool/prices": ["no_token"]}`."""
    from testkit.records import refusal_reasons  # noqa: PLC0415

    return partial(refusal_reasons, zt_stack)


@pytest.fixture
def zt_rogue(zt_stack: "Stack") -> "Callable[..., Verdict]":
    """Runs a container, and returns what attestation decides about it: `zt_rogue("quotes", user="0")`."""
    from testkit.rogue import rogue  # noqa: PLC0415

    return partial(rogue, zt_stack)
