"""Contents are kept for as long as the very same file is there, and no longer."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa

from include.warehouse.recent import Recent


class Reader:
    """Counts how often a file was really read."""

    def __init__(self, most_bytes: int = 10**6) -> None:
        self.recent, self.reads = Recent(most_bytes), 0

    def __call__(self, path: Path) -> bytes:
        with path.open("rb") as file:

            def read() -> pa.Table:
                self.reads += 1
                return pa.table({"text": [file.read()]})

            return self.recent.get(file, "table", read).column("text")[0].as_py()


def test_the_same_file_is_read_once_and_another_under_its_name_anew(tmp_path: Path) -> None:
    path, reader = tmp_path / "a", Reader()
    path.write_bytes(b"one")
    assert (reader(path), reader(path), reader.reads) == (b"one", b"one", 1)
    newer = tmp_path / "b"
    newer.write_bytes(b"two")
    os.utime(newer, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))  # as old, as long, and another file
    newer.replace(path)
    assert (reader(path), reader.reads) == (b"two", 2)
    path.write_bytes(b"three")
    assert (reader(path), reader.reads) == (b"three", 3)


def test_what_is_kept_stays_within_its_bound(tmp_path: Path) -> None:
    reader, paths = Reader(most_bytes=4_000), [tmp_path / str(number) for number in range(30)]
    for path in paths:
        path.write_bytes(b"x" * 200)
        reader(path)
    assert 2_000 < reader.recent._bytes <= 4_000
    reader(paths[-1])
    assert reader.reads == 30
    reader(paths[0])
    assert reader.reads == 31
    large = tmp_path / "large"
    large.write_bytes(b"x" * 1_000)
    assert reader(large) == reader(large)
    assert reader.reads == 33  # larger than a file that is kept
