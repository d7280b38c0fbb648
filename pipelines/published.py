"""`corpusbeam status`, `verify`, `pin` and `rollback`: what is published, whether it is whole, and which of it is current."""

from datetime import UTC, datetime
from typing import Any

from transforms.files import CorruptFileError, join, read_json
from transforms.generations import (
    GenerationError,
    list_generations,
    notes_on,
    open_generation,
    pin_generation,
    read_current,
    read_manifest,
    read_pins,
    roll_back,
    unpin_generation,
    verify_generation,
)
from transforms.generations.lease import LEASE_NAME


def status(root: str) -> dict[str, Any]:
    """The published generation's facts, all generations under `root`, pins and how the last run ended, if that is known.

    Raises GenerationError when nothing is published.
    """
    generation = open_generation(root)
    manifest = generation.manifest
    pins = read_pins(root)
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
        "history": [_generation(root, name) for name in list_generations(root)],
        "pins": {name: {"reason": pin.reason, "created": pin.created} for name, pin in sorted(pins.items())},
        "lease": _json(root, LEASE_NAME),
        "last_run": _json(root, "last_run.json"),
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
    for entry in found["history"]:
        name = entry["generation"]
        mark = "*" if name == found["generation"] else " "
        if entry["problem"]:
            lines.append(f"{mark} {name}  UNREADABLE: {entry['problem']}")
            continue
        pin = found["pins"].get(name)
        pinned = "" if pin is None else f"  pinned{': ' + pin['reason'] if pin['reason'] else ''}"
        size = f"{entry['documents']:>12,} documents {entry['bytes'] / 1e6:>10,.1f} MB"
        lines.append(f"{mark} {name}  {entry['created']} {size}{pinned}")
    gone = sorted(set(found["pins"]) - {entry["generation"] for entry in found["history"]})
    lines += [f"pin of {name}, which does not exist: remove it with `corpusbeam pin {name} --remove`" for name in gone]
    if (lease := found["lease"]) is not None:
        lines.append(f"in use by    {_holder(lease)}")
    if found["last_run"] is not None:
        lines.append(f"last run     {_ended(found['last_run'])}")
    return lines


def _ended(run: dict[str, Any]) -> str:
    """How a run ended: outcome, exit code, when, how long it took, and why."""
    if "problem" in run:
        return str(run["problem"])
    said = f": {run['message']}" if run.get("message") else ""
    outcome = str(run.get("outcome")).replace("_", " ")
    return f"{outcome}, exit code {run.get('exit_code')}, {run.get('finished')}, {run.get('seconds')} s{said}"


def _holder(lease: dict[str, Any]) -> str:
    """Who holds the lease, or held it when it died; a released lease leaves no file."""
    if "problem" in lease:
        return str(lease["problem"])
    holder, expires = lease.get("holder") or {}, str(lease.get("expires"))
    try:
        over = datetime.fromisoformat(expires) < datetime.now(UTC)
    except (ValueError, TypeError):
        over = False
    end = f"its lease ended {expires}: it died, the next run takes over" if over else f"its lease is valid until {expires}"
    return f"process {holder.get('pid')} on {holder.get('host')} since {str(lease.get('acquired'))[:19]}, {end}"


def _generation(root: str, name: str) -> dict[str, Any]:
    """A line of the history. A damaged manifest of an older generation must not hide the others."""
    try:
        manifest = read_manifest(root, name)
    except (CorruptFileError, GenerationError) as error:
        return {"generation": name, "parent": None, "created": None, "documents": None, "bytes": None, "problem": str(error)}
    return {
        "generation": name,
        "parent": manifest.parent,
        "created": manifest.created,
        "documents": manifest.counts.get("documents", 0),
        "bytes": sum(file.size for file in manifest.files),
        "problem": None,
    }


def _json(root: str, name: str) -> dict[str, Any] | None:
    """What a file directly under the root holds, None when it is not there; damage is told and hides nothing else."""
    try:
        found = read_json(join(root, name))
    except FileNotFoundError:
        return None
    except ValueError as error:
        return {"problem": f"{join(root, name)} is not JSON ({error})"}
    return found if isinstance(found, dict) else {"value": found}


def verify(root: str, generation: str | None, *, every: bool = False) -> dict[str, Any]:
    """Recompute every checksum of one generation, by default the published one, or of `every` one.

    `notes` are what lies beside them and is no problem. Raises GenerationError when nothing is published.
    """
    names = list_generations(root)
    current = read_current(root)
    if every:
        # What CURRENT names must be there, too; its absence is a problem like any other.
        chosen = sorted({*names, *([] if current is None else [current])}) or [open_generation(root).id]
    else:
        chosen = [generation or current or open_generation(root).id]
    found = [verify_generation(root, name) for name in chosen]
    return {
        "generation": chosen[-1] if len(chosen) == 1 else None,
        "generations": [
            {"generation": one.generation, "files": one.files, "bytes": one.size, "problems": list(one.problems)}
            for one in found
        ],
        "files": sum(one.files for one in found),
        "bytes": sum(one.size for one in found),
        "problems": [problem for one in found for problem in one.problems],
        "notes": notes_on(root, names),
    }


def verify_lines(found: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal."""
    lines = []
    for one in found["generations"]:
        if one["problems"]:
            lines += [*one["problems"], f"generation {one['generation']}: {len(one['problems'])} problems"]
        else:
            size = f"{one['files']} files, {one['bytes'] / 1e6:,.1f} MB"
            lines.append(f"generation {one['generation']}: {size}, all as published")
    return [*lines, *(f"note: {note}" for note in found["notes"])]


def pin(root: str, generation: str, reason: str, *, take_away: bool = False) -> dict[str, Any]:
    """Pin a generation, or take its pin away. Raises GenerationError for an unknown id, or no pin to take away."""
    if take_away:
        unpin_generation(root, generation)
    else:
        pin_generation(root, generation, reason)
    return {"generation": generation, "pinned": not take_away, "pins": sorted(read_pins(root))}


def pin_lines(found: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal."""
    done = "pinned: gc keeps it" if found["pinned"] else "no longer pinned"
    return [f"generation {found['generation']} is {done}"]


def rollback(root: str, generation: str | None, *, verified: bool = False, unconditional: bool = False) -> dict[str, Any]:
    """Make a retained generation current, by default the parent of the current one; see `roll_back` for what it raises."""
    done = roll_back(root, generation, verify=verified, unconditional=unconditional)
    return {"root": root, "from": done.before, "to": done.after, "moved": done.moved}


def rollback_lines(found: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal."""
    if not found["moved"]:
        return [f"generation {found['to']} is current already"]
    return [f"current was {found['from'] or 'nothing'}, now it is {found['to']}"]
