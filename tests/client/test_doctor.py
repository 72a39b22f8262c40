"""The doctor: what it finds on a fit machine, and that it names what is wrong on others without dying of it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tilewright import doctor

ROOT = Path(__file__).parents[2]


def examine(environment: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """`tilewright doctor --json` in a process of its own: its exit code, and its checks by name."""
    command = [sys.executable, "-c", "from tilewright.cli import main; main()", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["ok"] is (done.returncode == 0)
    return done.returncode, {check["name"]: check for check in document["checks"]}


def test_this_machine_is_fit_and_its_kernels_are_exact(tmp_path: Path, cache_folder: Path) -> None:
    code, found = examine({"TILEWRIGHT_DATA_DIR": str(tmp_path / "data")})
    assert code == 0
    assert all(check["ok"] and check["remedy"] is None for check in found.values())
    assert found["apache-tvm-ffi"]["detail"] == "0.1.14.post1"
    assert found["llvm"]["detail"] == "version 22"
    for isa in found["isa paths"]["detail"].split(", "):
        assert found[f"kernel on {isa}"]["detail"] == "built, run, bit-exact"
    for name, check in found.items():
        if name.startswith("peak"):
            assert float(check["detail"].split()[0]) > 1
    assert found["cache"]["detail"].startswith(f"{cache_folder}, ")
    assert not (tmp_path / "data").exists(), "looking changes nothing"
    assert not cache_folder.parent.exists()


def test_a_wrong_tvm_ffi_is_named_before_tvm_is_imported(tmp_path: Path) -> None:
    """With 0.1.15 every search segfaults. Both packages are stand-ins: the real ones exclude each other."""
    wrong = tmp_path / "apache_tvm_ffi-0.1.15.post2.dist-info"
    wrong.mkdir()
    (wrong / "METADATA").write_text("Metadata-Version: 2.1\nName: apache-tvm-ffi\nVersion: 0.1.15.post2\n")
    (tmp_path / "tvm.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    code, found = examine({"PYTHONPATH": str(tmp_path)})
    assert code == 1
    assert found["apache-tvm-ffi"] == {
        "name": "apache-tvm-ffi",
        "ok": False,
        "detail": "0.1.15.post2; needed is ==0.1.14.post1",
        "remedy": "python -m pip install 'apache-tvm-ffi==0.1.14.post1'",
    }
    assert found["kernels"]["detail"].startswith("not tried")
    assert "llvm" not in found
    assert not (tmp_path / "imported").exists()


def test_a_crash_of_the_compiler_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "tvm.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    code, found = examine({"PYTHONPATH": str(tmp_path)})
    assert code == 1
    assert found["kernels"]["detail"] == "the process died of SIGSEGV"
    assert "'apache-tvm-ffi==0.1.14.post1'" in found["kernels"]["remedy"]


def test_a_compiler_that_cannot_be_imported_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "tvm.py").write_text("raise ImportError('libtvm.so: cannot open shared object file')\n")
    code, found = examine({"PYTHONPATH": str(tmp_path)})
    assert code == 1
    assert "libtvm.so: cannot open shared object file" in found["kernels"]["detail"]


def test_a_crash_after_some_findings_says_after_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dies_later.py").write_text(
        """print('{"name": "llvm", "ok": true, "detail": "22"}', flush=True)\nimport os\nos.abort()\n"""
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    first, last = doctor.run_self_test("dies_later")
    assert (first.name, first.ok) == ("llvm", True)
    assert (last.ok, last.detail) == (False, "the process died of SIGABRT, after: llvm")


def test_a_compiler_that_hangs_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hangs.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (check,) = doctor.run_self_test("hangs", seconds=0.5)
    assert (check.ok, check.detail) == (False, "no answer within 0.5 s")


def test_a_package_that_is_missing_or_old_comes_with_the_command_that_mends_it() -> None:
    missing = doctor.check_package(Requirement("no-such-package>=1.0"))
    assert (missing.ok, missing.detail) == (False, "not installed")
    assert missing.remedy == "python -m pip install 'no-such-package>=1.0'"
    old = doctor.check_package(Requirement("numpy>=99"))
    assert old.detail == f"{metadata.version('numpy')}; needed is >=99"
    new = doctor.check_package(Requirement("numpy<2,>=1.20"))
    assert new.remedy == "python -m pip install 'numpy<2,>=1.20'"
    assert doctor.check_package(Requirement("numpy<99,>=1.20")).ok


@pytest.mark.parametrize(
    ("name", "variable", "option"),
    [
        ("data directory", "TILEWRIGHT_DATA_DIR", "--data-dir"),
        ("logs directory", "TILEWRIGHT_LOGS_DIR", "--logs-dir"),
    ],
)
def test_a_directory_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, variable: str, option: str
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv(variable, str(file))
    check = next(each for each in doctor.check_directories() if each.name == name)
    assert not check.ok
    assert str(file) in check.detail
    assert check.remedy is not None
    assert option in check.remedy


def make_a_link(folder: Path) -> None:
    folder.parent.mkdir()
    folder.symlink_to(folder.parent)


def make_a_file(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("")


def make_a_file_above(folder: Path) -> None:
    folder.parent.write_text("")


def make_open_to_others(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o770)


def make_foreign(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives folders away")
    folder.mkdir(parents=True)
    os.chown(folder, 12345, -1)


CACHES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a link": (make_a_link, "a file or a link is in its place"),
    "a file": (make_a_file, "a file or a link is in its place"),
    "a file above": (make_a_file_above, "a file or a link is in its place"),
    "open to others": (make_open_to_others, "others can write there"),
    "of another user": (make_foreign, "belongs to another user"),
}


@pytest.mark.parametrize(("make", "reason"), list(CACHES.values()), ids=list(CACHES))
def test_a_cache_in_which_load_keeps_nothing_is_named_and_the_machine_is_fit(
    cache_folder: Path, make: Callable[[Path], None], reason: str
) -> None:
    make(cache_folder)
    check = doctor.check_cache()
    assert check.ok
    assert str(cache_folder) in check.detail
    assert re.search(reason, check.detail)
    assert check.remedy is not None
    assert "TILEWRIGHT_CACHE_DIR" in check.remedy


def test_a_cache_of_which_load_makes_use_needs_no_remedy(cache_folder: Path) -> None:
    cache_folder.mkdir(0o700, parents=True)
    check = doctor.check_cache()
    assert (check.ok, check.remedy, list(cache_folder.iterdir())) == (True, None, [])


def test_a_home_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILEWRIGHT_CACHE_DIR", "~nobody-has-this-name/cache")
    monkeypatch.setenv("TILEWRIGHT_DATA_DIR", "~nobody-has-this-name/data")
    assert doctor.check_cache().detail == "keeps nothing: there is no home"
    data = next(doctor.check_directories())
    assert (data.ok, data.detail) == (False, "~nobody-has-this-name/data is nowhere: there is no home")


def test_in_a_checkout_the_directories_of_make_serve_are_looked_at() -> None:
    makefile = (ROOT / "Makefile").read_text()
    found = {check.name: check for check in doctor.check_directories()}
    for name, option in (("data of make serve", "--data-dir"), ("logs of make serve", "--logs-dir")):
        (folder,) = re.findall(rf"tilewright serve.* {option} (\S+)", makefile)
        assert found[name].detail.startswith(f"{ROOT / folder}, ")


def test_what_two_parts_need_is_looked_at_once() -> None:
    names = [check.name for check in doctor.check_packages()]
    assert "distributed" in names
    assert len(names) == len(set(names))
    assert doctor._reinstall().count("apache-tvm==") == 1
