"""Compares one container's root file system with its image, and checks how its main process runs."""

from collections.abc import Callable, Iterable, Mapping

from authorities.attestation.containers.image import ImageFiles
from authorities.attestation.verifier.measure import MeasureError, NotMeasuredError
from authorities.attestation.verifier.watch import Watch
from zerotrust.authority.files.lock import changes


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

        `problem` returns what is wrong with the process itself, as it is now, or None.  It raises `NotMeasuredError` if
        the process ends: then its files can be gone already, which is no drift.
        """
        self.changed: list[str] = []
        self.unknown = ""
        self._path, self._files, self._expected, self._leave_out = path, files, expected, leave_out
        self._problem = problem

    def watch(self, watch: Watch) -> None:
        watch.folder(self._path, leave_out={f"{self._path}{path}" for path in self._leave_out}, links=False)

    def unwatch(self, watch: Watch) -> None:
        watch.forget(self._path)

    def look(self) -> None:
        self._conclude_from(lambda: changes(self._expected, self._files.look(self._path, leave_out=self._leave_out)))

    def look_at(self, paths: Iterable[str]) -> None:
        self._conclude_from(lambda: self._differences(path.removeprefix(self._path) for path in paths))

    def _differences(self, paths: Iterable[str]) -> list[str]:
        wrong = set(self.changed)
        for path in paths:
            right = self._files.look_at(self._path, path) == self._expected.get(path)
            (wrong.discard if right else wrong.add)(path)
        return sorted(wrong)

    def _conclude_from(self, compare: Callable[[], list[str]]) -> None:
        try:
            wrong = self._run_comparison(compare)
            # Last: a process that does not end now had this process id, and its files, until now.
            problem = self._problem()
        except NotMeasuredError as error:
            self.unknown = str(error)
        else:
            self.changed, self.unknown = [problem] if problem else wrong, ""

    def _run_comparison(self, compare: Callable[[], list[str]]) -> list[str]:
        try:
            return compare()
        except NotMeasuredError:
            raise
        except MeasureError as error:
            return [str(error)]

    def holds(self, path: str) -> bool:
        return path.startswith(f"{self._path}/")
