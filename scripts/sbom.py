"""Prints a CycloneDX 1.5 bill of materials of a wheel: the package, and the libraries it needs at run time.

    python scripts/sbom.py dist/bnn2c-0.1.0-py3-none-any.whl > bnn2c.cdx.json

Versions and licences are those of the environment it runs in. Same wheel and environment, same bytes: the serial number
is derived from the wheel and there is no time stamp.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from typing import Any


def wheel_metadata(wheel: Path) -> Message:
    """METADATA of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode("utf-8"))


def requirements(lines: list[str] | None) -> Iterator[str]:
    """Normalised names of the requirements that are not part of an extra."""
    for line in lines or []:
        if "extra ==" not in line:
            yield re.sub(r"[-_.]+", "-", re.split(r"[ ;<>=!~\[(]", line)[0]).lower()


def closure(names: Iterator[str]) -> dict[str, metadata.Distribution]:
    """Installed distributions that are needed, directly or not."""
    found: dict[str, metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # needed on other platforms or Python versions only
            continue
        waiting.extend(requirements(found[name].requires))
    return dict(sorted(found.items()))


def licence(facts: Any) -> str:
    """The licence that a distribution states, in its own words."""
    stated = facts.get("License-Expression") or facts.get("License") or ""
    classified = [c.split(" :: ")[-1] for c in facts.get_all("Classifier") or [] if c.startswith("License ::")]
    first = stated.strip().splitlines()[0] if stated.strip() else ""
    return first if 0 < len(first) <= 60 else " and ".join(classified) or "not stated"


def component(name: str, version: str, facts: Any, kind: str) -> dict[str, Any]:
    """One entry."""
    purl = f"pkg:pypi/{name}@{version}"
    return {
        "type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl,
        "licenses": [{"license": {"name": licence(facts)}}],
    }  # fmt: skip


def bill(wheel: Path) -> dict[str, Any]:
    """The document."""
    facts = wheel_metadata(wheel)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    own = component(str(facts["Name"]), str(facts["Version"]), facts, "application")
    own["hashes"] = [{"alg": "SHA-256", "content": digest}]
    needed = closure(requirements(facts.get_all("Requires-Dist")))
    parts = [component(name, found.version, found.metadata, "library") for name, found in needed.items()]
    references = {name: part["bom-ref"] for name, part in zip(needed, parts, strict=True)}
    edges = {own["bom-ref"]: list(requirements(facts.get_all("Requires-Dist")))}
    edges |= {references[name]: list(requirements(found.requires)) for name, found in needed.items()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {"component": own},
        "components": parts,
        "dependencies": [
            {"ref": ref, "dependsOn": sorted({references[n] for n in names if n in references})}
            for ref, names in edges.items()
        ],
    }


if __name__ == "__main__":
    print(json.dumps(bill(Path(sys.argv[1])), indent=1))
