"""benchmarks/trees.py, by which the project's own trees are held against a library's."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--items", "60", "--large", "500", "10", "--trees", "2", "--learners")
WITHOUT_THE_LIBRARY = (
    "import runpy, sys; sys.modules['xgboost'] = None; sys.path.insert(0, 'benchmarks'); "
    "sys.argv[0] = 'benchmarks/trees.py'; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_our_own_trees_explain_themselves_exactly_and_are_the_same_each_time() -> None:
    done = run("benchmarks/trees.py", "--part", "cost", "--part", "large", *SMALL, "own")
    assert done.returncode == 0, done.stderr
    assert re.search(r"\| contributions \| exact to \de-0[5-9] \|", done.stdout), done.stdout
    assert "| a second fit is equal | True |" in done.stdout
    assert "| with two threads too | True |" in done.stdout
    for part in ("cost", "large"):
        assert re.search(rf"\n{part}\n\n(\|.*\n)+\|.*\d\.\d\d\d \|\n", done.stdout), part


def test_a_missing_library_is_one_line_that_says_how_to_install_it() -> None:
    done = run("-P", "-c", WITHOUT_THE_LIBRARY, *SMALL, "own", "shared")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("or ask for --learners own")
    assert done.stderr.count("\n") == 1 and not done.stdout
