"""Settings, encoder, counts and gates side by side."""

from collections.abc import Mapping
from typing import Any

from transforms.generations import Manifest

# Facts of a run, not settings of it.
_NOT_SETTINGS = ("encoder.fidelity", "encoder.files")


def compare_settings(a: Manifest, b: Manifest) -> list[dict[str, Any]]:
    """Every setting, and every fact that decides the encoder, with another value, by dotted name; None where it is absent."""
    old, new = (
        {**dict(_flat(manifest.configuration)), **dict(_flat({"encoder": manifest.encoder})), **_versions(manifest)}
        for manifest in (a, b)
    )
    return [
        {"setting": name, "a": old.get(name), "b": new.get(name)}
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name) and not name.startswith(_NOT_SETTINGS)
    ]


def compare_numbers(a: Manifest, b: Manifest) -> dict[str, list[dict[str, Any]]]:
    """`counts` and `gates` of both generations by name, in the order of the second; None where one has none."""
    gates_a, gates_b = ({gate.name: gate for gate in manifest.gates} for manifest in (a, b))
    return {
        "counts": [
            {"name": name, "a": a.counts.get(name), "b": b.counts.get(name)} for name in dict.fromkeys([*b.counts, *a.counts])
        ],
        "gates": [
            {
                "name": name,
                **{
                    side: None if name not in gates else {"value": gates[name].value, "limit": gates[name].limit}
                    for side, gates in (("a", gates_a), ("b", gates_b))
                },
            }
            for name in dict.fromkeys([*gates_b, *gates_a])
        ],
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat += _flat(value, f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", value))
    return flat


def _versions(manifest: Manifest) -> dict[str, Any]:
    return {f"versions.{name}": version for name, version in manifest.versions.items()}
