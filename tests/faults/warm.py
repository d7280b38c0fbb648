"""Everything that a reindex imports, loaded once in the server that the children of the tests are forked from.

The command sets its logging up before it imports anything: so does this.
"""

from pipelines.cli import _set_up_messages

_set_up_messages(False)

import hdbscan  # noqa: E402, F401
import umap  # noqa: E402, F401

import pipelines.reindex  # noqa: E402
import pipelines.report  # noqa: E402, F401
import transforms.embedding.beam  # noqa: E402, F401
