"""What must be true of the repository as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_standard_librarys_operator_module_wins() -> None:
    """operator/ is a folder of ours; an __init__.py in it would shadow the module of that name."""
    code = "import operator; operator.add; print(operator.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert not Path(found.strip()).is_relative_to(ROOT)
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_lock_files_name_no_index() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        assert "://" not in path.read_text(), path.name
