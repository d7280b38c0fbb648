"""Whether the encoder's process, which starts before anything is known, is to go on."""

from pipelines.config import Config
from transforms.corpus import is_older
from transforms.files import redact
from transforms.generations import read_current, read_manifest, started_at


def embeds_here(config: Config) -> bool:
    """Whether texts are embedded by one process of this machine, not by several workers or on another one."""
    runner = config.runner
    return runner.runner == "FnApiRunner" and runner.workers == 1 and not runner.beam_options


def looks_new(config: Config) -> bool:
    """Whether the input may be another than that of the published generation: other files, or files written since.

    A hint that costs a listing: a wrong one costs time, never a result.
    """
    try:
        generation = read_current(config.root)
        if generation is None:
            return True
        published = read_manifest(config.root, generation).configuration
        if published["corpus"]["input"] != [redact(pattern) for pattern in config.corpus.input]:
            return True
        return not is_older(config.corpus, started_at(generation))
    except Exception:
        # Whatever is wrong here, the run itself meets it and says so.
        return False
