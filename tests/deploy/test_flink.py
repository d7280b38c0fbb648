"""configs/flink.yaml on a real Flink: a whole reindex by the command, with only the addresses filled in."""

import json

import fsspec
import pytest

from pipelines.cli import main
from tests.deploy.jobs import SMALL, texts
from tests.deploy.test_boot import TOOLS as GO
from tests.deploy.test_boot import boot_pool
from tests.pipelines.test_config import CONFIGS
from tests.runners.engines.engine import engine_or_skip
from tests.runners.engines.flink_embedded import flink_embedded
from tests.runners.engines.java import TOOLS as JAVA
from transforms.generations import open_generation, verify_generation


@pytest.mark.long
@pytest.mark.tools(*GO, *JAVA)
@pytest.mark.usefixtures("minilm_spec")
def test_a_reindex_needs_nothing_but_its_addresses(tmp_path, s3_bucket):
    with fsspec.open(f"{s3_bucket}/documents/some.jsonl", "w") as file:
        file.writelines(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(texts()))
    with (
        engine_or_skip(boot_pool(tmp_path / "pool"), GO) as pool,
        engine_or_skip(flink_embedded(tmp_path / "flink"), JAVA) as flink,
    ):
        # The pool of a pod has a port of its own; here it shares the machine.
        addresses = [option for option in (*flink.options, *pool.options) if option.startswith("--environment_config=")]
        addresses += [option for option in flink.options if option.startswith("--job_endpoint=")]
        root = f"{s3_bucket}/corpusbeam"
        settings = [argument for setting in SMALL for argument in ("--set", setting)]
        command = [
            "reindex",
            "--config",
            str(CONFIGS / "flink.yaml"),
            "--root",
            root,
            "--input",
            f"{s3_bucket}/documents/*.jsonl",
        ]
        assert main([*command, *settings, "--format", "json", "--", *addresses]) == 0
    published = open_generation(root)
    assert published.manifest.counts["documents"] == len(texts())
    assert verify_generation(root, published.id).problems == ()
