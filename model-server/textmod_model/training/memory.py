"""How much memory a training takes, and how much there is: better said before than by a SIGKILL."""

from pathlib import Path
from typing import Final

from textmod_model.training.dataset import Dataset
from textmod_model.training.folds import TrainingError

MIB: Final = 1 << 20
# bench/training measures these; see bench/results/training.json.
_BASE_MIB: Final = 700
_BYTES_PER_CHARACTER: Final = {"default": 26, "seed": 60}
_CGROUP_FILES: Final = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def needed(data: Dataset, recipe: str) -> int:
    """Return about how many bytes a training takes at its peak."""
    characters = sum(map(len, data.texts))
    return _BASE_MIB * MIB + characters * _BYTES_PER_CHARACTER[recipe]


def available() -> int | None:
    """Return how many bytes this process can still get, None if nothing says so."""
    figures = [figure for figure in (_free(), _of_cgroup()) if figure is not None]
    return min(figures, default=None)


def check(data: Dataset, recipe: str) -> None:
    """Raise TrainingError if there is less memory than the training needs."""
    there, asked = available(), needed(data, recipe)
    if there is not None and there < asked:
        raise TrainingError(
            f"training on {len(data):,} rows takes about {asked / MIB / 1024:.1f} GiB of memory, "
            f"{there / MIB / 1024:.1f} GiB are free: use fewer rows or a larger machine."
        )


def _free() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _of_cgroup() -> int | None:
    for limit, used in _CGROUP_FILES:
        try:
            most = Path(limit).read_text(encoding="ascii").strip()
            now = Path(used).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if most != "max":
            return max(int(most) - int(now), 0)
    return None
