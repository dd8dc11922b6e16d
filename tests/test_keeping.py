"""Files that are kept between processes."""

import os
from pathlib import Path

from difint import keeping


def test_old_files_go_first(tmp_path: Path) -> None:
    for i in range(10):
        (tmp_path / f"{i}.numba").touch()
        os.utime(tmp_path / f"{i}.numba", (1000 + i, 1000 + i))
    keeping.touch(tmp_path / "0.numba")
    (tmp_path / "other.pt2").touch()
    keeping.store(tmp_path / "new.numba", b"code", most=10)
    kept = {file.stem for file in tmp_path.iterdir()}
    assert kept == {"0", "new", "other", *map(str, range(3, 10))}


def test_the_directory_is_the_user_s_choice(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DIFINT_CACHE_DIR", str(tmp_path))
    assert keeping.directory() == tmp_path
    monkeypatch.setenv("DIFINT_CACHE_DIR", "")
    assert keeping.directory() is None
    monkeypatch.delenv("DIFINT_CACHE_DIR")
    assert keeping.directory().name == "difint"
