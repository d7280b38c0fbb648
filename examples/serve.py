"""A published root over HTTP with FastAPI: `ROOT=/data/index uvicorn --app-dir examples serve:app`.

It looks for a newer generation every RELOAD_SECONDS (60) and goes over to it while it answers. Corpusbeam itself stays a batch
pipeline: this file is for copying.
"""

import logging
import os
import threading
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Query, Response

from pipelines.search import Searcher, hit_facts
from transforms.search import QueryError, WhereError


@asynccontextmanager
async def lifespan(app: FastAPI):
    """Open the root before the first request, and look for what is published afterwards."""
    app.state.searcher, stop = Searcher(os.environ["ROOT"]), threading.Event()

    def reload() -> None:
        while not stop.wait(float(os.environ.get("RELOAD_SECONDS", "60"))):
            try:
                app.state.searcher.reload()
            except Exception as error:  # the generation before goes on answering
                logging.getLogger("uvicorn.error").warning("reload: %s", error)

    threading.Thread(target=reload, daemon=True).start()
    yield
    stop.set()


app = FastAPI(lifespan=lifespan)


@app.get("/search")
def search(q: str, response: Response, k: int = Query(10, ge=1, le=1000), where: str | None = None, group: bool = False):
    """The best documents for a query."""
    searcher = app.state.searcher.pinned()  # id and answers are of one generation
    try:
        hits = searcher.search([q], k, where=where, group_duplicates=group)[0]
    except (QueryError, WhereError) as error:
        raise HTTPException(422, str(error)) from error
    response.headers["X-Generation"] = searcher.generation.id
    return {"generation": searcher.generation.id, "hits": [hit_facts(hit) for hit in hits]}
