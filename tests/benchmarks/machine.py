"""What a benchmark ran on, as far as it bears on the figures: no names, no paths."""

import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Instructions that decide how fast matrices are multiplied."""


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system and Python."""
    return {
        "date": date.today().isoformat(),
        "processor": _processor("model name") or platform.processor() or platform.machine(),
        "instructions": [f for f in FLAGS if f in _processor("flags").split()],
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def sentence(machine: dict[str, Any]) -> str:
    """``describe`` in words."""
    instructions = ", ".join(machine["instructions"]) or "no vector instructions found"
    return (
        f"{machine['date']}, {machine['processor']} ({instructions}), {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}, "
        f"load {machine['load']} at the start."
    )


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of these packages; those that are not installed are left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor(field: str) -> str:
    """A field of Linux's description of the first core, or nothing."""
    described = Path("/proc/cpuinfo")
    if not described.exists():
        return ""
    for line in described.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == field:
            return value.strip()
    return ""
