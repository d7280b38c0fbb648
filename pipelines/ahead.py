"""What a reindex starts before it knows that it needs it."""

import joblib

from pipelines.config import Config
from pipelines.encoder_process import EncoderProcess
from transforms.corpus import is_older
from transforms.files import redact
from transforms.generations import read_current, read_manifest, started_at


def start_encoder(config: Config) -> EncoderProcess | None:
    """A process for the model; it has started if the input looks new, and otherwise does so when it is asked for a model.

    None where it would be of no use: where other processes embed, and where there is no second core to import on.
    """
    runner = config.runner
    embeds_here = runner.runner == "FnApiRunner" and runner.workers == 1 and not runner.beam_options
    if not embeds_here or joblib.cpu_count() < 2:
        return None
    encoder = EncoderProcess()
    if looks_new(config):
        encoder.start()
    return encoder


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
