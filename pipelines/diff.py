"""`corpusbeam diff`: what is different between two generations."""

from typing import Any

from transforms.comparison import compare_generations
from transforms.generations import GenerationError, open_generation
from transforms.generations.pins import check_known
from transforms.reports import clean, passage_label


def diff(root: str, a: str | None, b: str | None, examples: int) -> dict[str, Any]:
    """Compare generation `a`, by default the parent of `b`, with `b`, by default the published one.

    Raises GenerationError for an id that is not there, and when there is no parent to compare with.
    """
    for name in (a, b):
        if name is not None:
            check_known(root, name)
    newer = open_generation(root, b)
    older = a or newer.manifest.parent
    if older is None:
        raise GenerationError(f"generation {newer.id} has no parent: name the generation to compare it with")
    check_known(root, older)
    return compare_generations(open_generation(root, older), newer, examples)


def diff_lines(found: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal."""
    lines = [f"from {found['a']} to {found['b']}"]
    for name in ("documents", "vectors", "pairs", "groups"):
        counts = {kind: count for kind, count in found[name].items() if kind != "examples"}
        lines.append(f"{name:<12} " + ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in counts.items()))
        for kind, shown in found[name].get("examples", {}).items():
            lines += [f"    {kind.replace('_', ' ')}: {clean(_example(example))}" for example in shown]
    topics = found["topics"]
    resized = [topic for topic in topics["kept"] if topic["event"] != "continued"]
    of_kept = ", ".join(f"{sum(topic['event'] == kind for topic in resized):,} of them {kind}" for kind in ("grown", "shrunk"))
    counted = ", ".join(f"{len(topics[kind]):,} {kind}" for kind in ("born", "gone", "kept"))
    lines.append(f"{'topics':<12} {counted} ({of_kept})")
    for kind in ("born", "gone"):
        lines += [
            f"    {kind}: {clean(topic['title'] or topic['topic_uid'])} ({topic['documents']:,} documents)"
            for topic in topics[kind]
        ]
    lines += [
        f"    {topic['event']}: {clean(topic['title'] or topic['topic_uid'])} "
        f"({topic['documents_before']:,} to {topic['documents']:,} documents)"
        for topic in resized
    ]
    for count in found["counts"]:
        lines.append(f"count {count['name']:<20} {_number(count['a']):>14} {_number(count['b']):>14}")
    for gate in found["gates"]:
        lines.append(f"gate  {gate['name']:<20} {_gate(gate['a']):>14} {_gate(gate['b']):>14}")
    lines += [
        f"setting {entry['setting']}: {clean(str(entry['a']))} -> {clean(str(entry['b']))}" for entry in found["settings"]
    ]
    return lines


def _example(example: Any) -> str:
    if not isinstance(example, dict):
        return str(example)
    a, b = ((example[f"doc_id_{side}"], example[f"passage_no_{side}"]) for side in "ab")
    return f"{example['cosine']:.3f}  {passage_label(*a)}  {passage_label(*b)}"


def _number(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


def _gate(gate: dict[str, float] | None) -> str:
    return "none" if gate is None else f"{gate['value']:.4f}"
