"""One container's root file system, held to what was built, together with how its main process runs."""

from collections.abc import Callable, Iterable, Mapping

from authorities.attestation.containers.image import ImageFiles
from authorities.attestation.verifier.measure import MeasureError
from authorities.attestation.verifier.watch import Watch
from zerotrust.registry.lock import changed


class ContainerRoot:
    """A `LargeRoot`: all files of a container, through `/proc/PID/root`."""

    def __init__(
        self,
        path: str,
        files: ImageFiles,
        *,
        expected: Mapping[str, str],
        leave_out: frozenset[str],
        problem: Callable[[], str | None],
    ) -> None:
        """`path` is the root; `expected` has what `ImageFiles` should find there, and `leave_out` the paths to skip.

        `problem` returns what is wrong with the process itself, as it is now, or None.
        """
        self.changed: list[str] = []
        self._path, self._files, self._expected, self._leave_out = path, files, expected, leave_out
        self._problem = problem

    def watch(self, watch: Watch) -> None:
        watch.folder(self._path, leave_out={f"{self._path}{path}" for path in self._leave_out}, links=False)

    def look(self) -> None:
        try:
            found = self._files.look(self._path, leave_out=self._leave_out)
            wrong = changed(self._expected, found)
        except MeasureError as error:
            wrong = [str(error)]
        # Last: a process that has not ended by now had this process id while its files were read.
        problem = self._problem()
        self.changed = [problem] if problem else wrong

    def look_at(self, paths: Iterable[str]) -> None:
        wrong = set(self.changed)
        try:
            for path in (path.removeprefix(self._path) for path in paths):
                right = self._files.look_at(self._path, path) == self._expected.get(path)
                (wrong.discard if right else wrong.add)(path)
        except MeasureError as error:
            wrong.add(str(error))
        self.changed = sorted(wrong)

    def holds(self, path: str) -> bool:
        return path.startswith(f"{self._path}/")
