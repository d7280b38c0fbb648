"""What became of the documents since the generation before, in one line."""

from collections.abc import Mapping
from typing import Any

from transforms.changes import STATES
from transforms.reports.formats import number, words_of


def changes_line(changes: Mapping[str, Any]) -> str:
    """`since ID: 12 added, 3 changed, …`: states that no document is in are left out, `unchanged` comes last."""
    counts = {state: changes[state] for state in STATES if changes.get(state)}
    unchanged = counts.pop("unchanged", 0)
    facts = [f"{number(count)} {words_of(state)}" for state, count in counts.items()]
    if unchanged or not facts:
        facts.append(f"{number(unchanged)} unchanged")
    since = changes.get("since")
    return f"{f'since {since}' if since else 'first generation'}: {', '.join(facts)}"
