"""M. Another process of the same user, while the process that will hold the keys is starting."""

import errno
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.project_copy import copy_of_the_project
from lab.without import Control
from tests.attacks.table import ROWS, Missing, described
from tests.support.spy import ORDINARY

# What scripts/run.py does, but that some controls are missing.
BOOTSTRAP = """
import pickle, sys
sys.path.append(sys.argv.pop(1))
from lab.without import without
from scripts import run
with without(*pickle.loads(bytes.fromhex(sys.argv.pop(1)))):
    run.main()
"""


def start(project: Path, missing: tuple[Missing, ...], *arguments: str, **env: str) -> subprocess.Popen[str]:
    """Run `scripts/run local`, without the controls that are `missing`."""
    command = [str(project / "scripts" / "run")]
    if missing:
        controls = pickle.dumps([control for control in missing if isinstance(control, Control)]).hex()
        flags = ["-I", "-S", "-B", "-X", "pycache_prefix=/dev/null"]
        command = [str(project / ".venv" / "bin" / "python"), *flags, "-c", BOOTSTRAP, str(project), controls]
    pipe, env = subprocess.PIPE, {"PATH": os.environ["PATH"], **env}
    return subprocess.Popen(  # noqa: S603
        [*command, "local", *arguments], env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True, **ORDINARY
    )


# --- Its memory -------------------------------------------------------------------------------------------------------

GENUINE, PLANTED = "GENUINE-ARGUMENT", "PLANTED-ARGUMENT"

# Replaces one text by another in all of a process's memory.
WRITER = """
import os, re, sys

pid, old, new = sys.argv[1], *map(os.fsencode, sys.argv[2:])
try:
    memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
    maps = open(f"/proc/{pid}/maps").read()
except PermissionError:
    sys.exit("refused")
for begin, end in re.findall("^([0-9a-f]+)-([0-9a-f]+) rw", maps, re.MULTILINE):
    begin, end = int(begin, 16), int(end, 16)
    try:
        content = os.pread(memory, end - begin, begin)
    except OSError:
        continue
    for found in re.finditer(old, content):
        os.pwrite(memory, new, begin + found.start())
print("written")
"""


def overwritten(place: Path, missing: tuple[Missing, ...]) -> tuple[str, str]:
    """Write to the process while it compares what is installed with the pin; return what writer and process said.

    The pin is a pipe here: the process waits at it for as long as the attack takes.
    """
    project = copy_of_the_project(place / "project")
    pin = project / ".venv" / "environment.json"
    genuine = pin.read_bytes()
    pin.unlink()
    os.mkfifo(pin)
    with start(project, missing, GENUINE) as process:
        with os.fdopen(read_by(process, pin), "wb") as pipe:
            writer = [sys.executable, "-I", "-c", WRITER, str(process.pid), GENUINE, PLANTED]
            done = subprocess.run(writer, capture_output=True, text=True, check=False, **ORDINARY)  # noqa: S603
            pipe.write(genuine)
        said, _ = process.communicate()
    return (done.stdout + done.stderr).strip(), said


def read_by(process: subprocess.Popen[str], pipe: Path) -> int:
    """Wait until `process` reads from a named pipe; return the other end."""
    while process.poll() is None:
        try:
            end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads yet
                raise
            time.sleep(0.01)
        else:
            os.set_blocking(end, True)
            return end
    raise AssertionError(process.communicate())


@pytest.mark.attack(186, "refused")
def test_writing_to_the_process_before_it_holds_secrets(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    wrote, said = overwritten(tmp_path, ())

    assert wrote == "refused"
    assert f"No such command '{GENUINE}'" in said
    record_property("answers", wrote)


WRITTEN_TO = ROWS[186].removable[0]


@pytest.mark.attack(186, f"succeeds without {described(WRITTEN_TO)}")
def test_writing_to_the_process_before_it_holds_secrets_without_the_control(tmp_path: Path) -> None:
    wrote, said = overwritten(tmp_path, WRITTEN_TO)

    assert wrote == "written"
    assert f"No such command '{PLANTED}'" in said


# --- Its variables ----------------------------------------------------------------------------------------------------

# OpenSSL also loads the shared libraries that its configuration names.
CONFIGURATION = """
openssl_conf = init
[init]
ssl_conf = all
[all]
system_default = limited
[limited]
MaxProtocol = TLSv1.2
"""

SHOW = "import ssl; print(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).maximum_version == ssl.TLSVersion.TLSv1_2)\n"


def configured(place: Path, missing: tuple[Missing, ...]) -> str:
    """Whether OpenSSL obeys a configuration that a variable names, in the process that would make keys."""
    project, configuration = copy_of_the_project(place / "project"), place / "openssl.cnf"
    (project / "local" / "__main__.py").write_text(SHOW)
    configuration.write_text(CONFIGURATION)
    with start(project, missing, OPENSSL_CONF=str(configuration)) as process:
        said, _ = process.communicate()
    return said.strip()


@pytest.mark.attack(187, "refused")
def test_a_configuration_of_openssl_that_a_variable_names(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    assert configured(tmp_path, ()) == "False"
    record_property("answers", "not read")


CONFIGURED = ROWS[187].removable[0]


@pytest.mark.attack(187, f"succeeds without {described(CONFIGURED)}")
def test_a_configuration_of_openssl_that_a_variable_names_without_the_control(tmp_path: Path) -> None:
    assert configured(tmp_path, CONFIGURED) == "True"
