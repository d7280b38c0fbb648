"""Places that workers on other machines would look for on their own disks: refused before anything is read or written."""

import os

from pipelines.config import Config
from pipelines.runner import Runner, RunnerError
from transforms.corpus import PYTHON_DOCS
from transforms.files import is_local, redact


def check_places(config: Config, runner: Runner) -> None:
    """Raise RunnerError, which names the setting, when workers elsewhere are given a place that only this machine has.

    With `runner.shared_root` every worker has this machine's places under the same names, which then must be whole: workers are
    in folders of their own.
    """
    if runner.engine.is_here:
        return
    places = [("root", config.root), *(("corpus.input", pattern) for pattern in config.corpus.input)]
    for key, place in places:
        if place != PYTHON_DOCS and not is_local(place):
            continue
        if not config.runner.shared_root:
            raise RunnerError(
                f"{key} {redact(place)!r} is on this machine, but the workers of {runner.engine.runner} are elsewhere: use a "
                "URL of an object store, such as s3://bucket/corpus; or, if every worker mounts the same path, set "
                "runner.shared_root: true"
            )
        if place != PYTHON_DOCS and "://" not in place and not os.path.isabs(place):
            raise RunnerError(
                f"{key} {place!r} is relative to this command's folder, which workers of {runner.engine.runner} are not in: "
                f"give the whole path, {os.path.abspath(place)!r} if that is mounted everywhere"
            )
