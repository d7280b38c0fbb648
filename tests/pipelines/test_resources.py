"""Hints for engines that choose machines: on the steps that are named, and on no others."""

import importlib
import pkgutil
from dataclasses import dataclass

import apache_beam as beam
import pytest
from apache_beam.transforms.resources import parse_resource_hints

import transforms
from pipelines.resources import MODEL, ONE_WORKER, ask_for_machines


@dataclass
class _Several(beam.PTransform):
    labels: tuple[str, ...]

    def expand(self, numbers):
        for label in self.labels:
            numbers = numbers | label >> beam.Map(abs)
        return numbers


def _hints(one_worker_ram, accelerator) -> dict[str, dict[str, bytes]]:
    """The hints of every step of a pipeline that has all that are named, and one more."""
    pipeline = beam.Pipeline()
    numbers = pipeline | beam.Create([1])
    labels: dict[str, list[str]] = {"Other": ["Step"]}
    for step in (*ONE_WORKER, *MODEL):
        transform, label = step.split("/")
        labels.setdefault(transform, []).append(label)
    for transform, names in labels.items():
        _ = numbers | transform >> _Several(tuple(names))
    ask_for_machines(pipeline, one_worker_ram, accelerator)
    components = pipeline.to_runner_api().components
    return {
        step.unique_name: dict(components.environments[step.environment_id].resource_hints)
        for step in components.transforms.values()
        if step.environment_id
    }


@pytest.mark.parametrize("ram", ["16GiB", None])
@pytest.mark.parametrize("accelerator", ["type:nvidia-l4;count:1", None])
def test_each_named_step_asks_for_what_is_given_and_no_other_for_anything(ram, accelerator):
    hints = _hints(ram, accelerator)
    memory = {} if ram is None else parse_resource_hints({"min_ram": ram})
    card = {} if accelerator is None else parse_resource_hints({"accelerator": accelerator})
    for step in ONE_WORKER:
        assert hints.pop(step) == memory
    for step in MODEL:
        assert hints.pop(step) == card
    assert hints["Other/Step"] == {}
    assert not any(hints.values())


def test_every_transform_that_says_one_worker_is_named():
    rooms = [room for room in pkgutil.iter_modules(transforms.__path__) if room.ispkg]
    modules = [importlib.import_module(f"transforms.{room.name}") for room in rooms]
    wrappers = [
        importlib.import_module(f"{room.__name__}.beam")
        for room in modules
        if importlib.util.find_spec(f"{room.__name__}.beam")
    ]
    found = {
        name
        for module in wrappers
        for name, member in vars(module).items()
        if isinstance(member, type) and issubclass(member, beam.PTransform) and "one worker" in (member.__doc__ or "").lower()
    }
    assert len(found) >= 6
    assert found <= {step.split("/")[0] for step in (*ONE_WORKER, *MODEL)}
