"""Changes: what became of every document between the published generation and the corpus as it is now.

In: the parts of both documents tables, sorted by (first 8 bytes of sha256(doc_id), doc_id, passage_no), and the quarantine.
Out: `Changes`, six counts. Promises: every document is in exactly one of them; a worker holds one part of each table; a
published part whose bytes are not the manifest's is refused, never compared.
"""

from transforms.changes.compare import compare_part
from transforms.changes.counts import STATES, Changes, total
from transforms.changes.plan import CompareTask, plan_comparison

__all__ = ["STATES", "Changes", "CompareTask", "compare_part", "plan_comparison", "total"]
