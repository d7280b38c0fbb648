"""The user's own labels of topics: read before anything else, part of what makes runs the same, given to the tables last."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipelines.config import Config
from pipelines.queries import Queries
from pipelines.stage import Run
from pipelines.topics import TopicsResult
from transforms.corpus import InputError
from transforms.files import digest_of, join
from transforms.topics import LabelRecord, LabelTask, label_topics, read_user_labels
from transforms.topics.beam import TopicsStep

_LABELLED, _UNKNOWN = "topics_labelled", "labels_unknown"


@dataclass(frozen=True)
class Labels:
    """The labels of `topics.labels` by uid, none without it."""

    of_uids: Mapping[str, str]

    @property
    def digest(self) -> str | None:
        """Digest of the labels; None when there are none."""
        return digest_of(dict(self.of_uids)) if self.of_uids else None

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Uids and their labels, in order of the uids: the order of the file decides nothing."""
        return tuple(sorted(self.of_uids.items()))


def user_labels(config: Config) -> Labels:
    """Read the configured file. Raises InputError, which names the setting, when it cannot be used."""
    path = config.topics.labels
    try:
        return Labels({} if path is None else read_user_labels(path))
    except InputError as error:
        raise InputError(f"topics.labels: {error}") from error


def settings_digest(config: Config, queries: Queries, labels: Labels) -> str:
    """Digest of all but the documents that can change what is published: the settings, and what the user's own files hold."""
    settings = queries.settings_digest(config)
    return settings if labels.digest is None else digest_of([settings, labels.digest])


def labelled(run: Run, topics: TopicsResult, labels: Labels) -> TopicsResult:
    """The topics with these labels, by a job of one worker; those of the parent may have other ones."""
    # Counts of a parent's tables are of its own labels.
    had = topics.counts.get(_LABELLED)
    topics = replace(topics, counts={name: n for name, n in topics.counts.items() if name not in (_LABELLED, _UNKNOWN)})
    if not labels.of_uids and not had:
        return topics
    files = {file.name: file for file in topics.published}
    task = LabelTask(files["topics.parquet"], files.get("themes.parquet"), labels.pairs, join(run.staged, "topics"))
    record: LabelRecord
    (record,) = run.job("label_topics", TopicsStep(label_topics, run.config.topics), [task], LabelRecord)
    files |= {file.name: file for file in (record.topics, record.themes) if file is not None}
    counts = topics.counts | ({_LABELLED: record.labelled, _UNKNOWN: record.unknown} if labels.of_uids else {})
    return replace(topics, published=list(files.values()), counts=counts, unknown_labels=record.examples)


def label_warnings(topics: TopicsResult) -> list[str]:
    """What a user has to know of labels that nothing was called by."""
    unknown = topics.counts.get(_UNKNOWN, 0)
    if not unknown:
        return []
    examples = ", ".join(topics.unknown_labels)
    return [
        f"topics.labels: {unknown:,} of {unknown + topics.counts[_LABELLED]:,} labels are of no topic or theme of this "
        f"generation, such as {examples}: it may have vanished, see topic_uid in topics.parquet and theme_uid in themes.parquet"
    ]
