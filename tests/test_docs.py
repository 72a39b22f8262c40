"""The docs name what is there. Width and links of prose are rumdl's, in `make check`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("client", "kernels", "tuning", "worker", "comparison", "service", "tests", "bench")
FOLDERS = (*CODE, "docs")
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tuning_logs" / "README.md"]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
HEADINGS = ["Situation", "Decision", "Cost", "What would make us change it"]


def paths_in(text: str) -> set[str]:
    """Code spans that begin with a folder of the repository and have nothing to be filled in."""
    return set(re.findall(rf"`((?:{'|'.join(FOLDERS)})/[^`\s<>*{{]*)`", text))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    assert sorted(path for path in paths_in(page.read_text()) if not (ROOT / path).exists()) == []


def test_paths_are_found_in_pages_and_patterns_passed_over() -> None:
    text = "`bench/layers.py`, `docs`, `bench/results`, `tests/<one>/x.py`, `/v1/jobs`, `bench/no.py`, `docs/*`"
    assert paths_in(text) == {"bench/layers.py", "bench/results", "bench/no.py"}


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_says_its_situation_cost_and_what_would_change_it(page: Path) -> None:
    title, *sections = re.split(r"^## ", page.read_text(), flags=re.MULTILINE)
    assert title.startswith(f"# {int(page.name[:4])}. ")
    assert [section.partition("\n")[0] for section in sections] == HEADINGS
    assert all(section.partition("\n")[2].strip() for section in sections)


def test_decisions_are_numbered_one_by_one() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_every_decision_that_code_names_exists() -> None:
    sources = [path for folder in CODE for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".ll"}]
    named = {page for source in sources for page in re.findall(r"\b\d{4}-[a-z0-9-]+\.md", source.read_text())}
    assert named
    assert named <= {page.name for page in DECISIONS}


def test_the_page_of_benchmarks_is_what_the_report_makes_of_the_results(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "bench.report", "--docs", tmp_path], cwd=ROOT, check=True)
    written = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert "benchmarks.md" in written
    assert [name for name, text in written.items() if text != (ROOT / "docs" / name).read_text()] == []
