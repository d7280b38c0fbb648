"""`corpusbeam status` and `corpusbeam verify`: what is published, and whether it is whole."""

from typing import Any

from transforms.generations import list_generations, open_generation, read_current, verify_generation


def status(root: str) -> dict[str, Any]:
    """The published generation's facts and the ids of all generations under `root`.

    Raises GenerationError when nothing is published.
    """
    generation = open_generation(root)
    manifest = generation.manifest
    return {
        "root": root,
        "generation": manifest.generation,
        "parent": manifest.parent,
        "created": manifest.created,
        "model": manifest.encoder["model"],
        "fingerprint": manifest.encoder["fingerprint"],
        "files": len(manifest.files),
        "bytes": sum(file.size for file in manifest.files),
        "counts": manifest.counts,
        "gates": [gate.model_dump() for gate in manifest.gates],
        "generations": list_generations(root),
    }


def status_lines(found: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal."""
    lines = [
        f"generation   {found['generation']} (parent {found['parent'] or 'none'})",
        f"created      {found['created']}",
        f"model        {found['model']} ({found['fingerprint'][:12]})",
        f"files        {found['files']:,}, {found['bytes'] / 1e6:,.1f} MB",
    ]
    lines += [f"{name.replace('_', ' '):<22} {value:>12,}" for name, value in found["counts"].items()]
    lines += [
        f"gate {gate['name']:<17} {gate['value']:>12.4f}  limit {gate['limit']:g}  {'passed' if gate['passed'] else 'REFUSED'}"
        for gate in found["gates"]
    ]
    return [*lines, f"generations  {', '.join(found['generations'])}"]


def verify(root: str, generation: str | None) -> dict[str, Any]:
    """Recompute every checksum of one generation, by default the published one.

    Raises GenerationError when nothing is published.
    """
    chosen = generation or read_current(root) or open_generation(root).id
    found = verify_generation(root, chosen)
    return {"generation": found.generation, "files": found.files, "bytes": found.size, "problems": list(found.problems)}


def verify_lines(found: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal."""
    if found["problems"]:
        return [*found["problems"], f"generation {found['generation']}: {len(found['problems'])} problems"]
    return [f"generation {found['generation']}: {found['files']} files, {found['bytes'] / 1e6:,.1f} MB, all as published"]
