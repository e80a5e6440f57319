from __future__ import annotations

import datetime as dt
import json
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.contract.tables import TABLES
from include.contract.terms import Reason
from include.labels.drops import FIELDS, RAW_COLUMNS, read_drops
from include.reading.limits import Limits

pytestmark = pytest.mark.slow

BIG = 2**63 - 1
EVENT: dict[str, Any] = {
    "event_id": "e1",
    "video_id": BIG,
    "policy": "violence",
    "reviewer_id": "anna",
    "decision": "violating",
    "labelled_at": "2026-01-06T10:00:00Z",
    "guideline_version": "2026-1",
    "sample_id": None,
    "supersedes": None,
}
HEADER = ",".join(FIELDS)
ROW = f"e1,{BIG},violence,anna,violating,2026-01-06T10:00:00Z,2026-1,,"


def reasons(refused: pd.DataFrame) -> list[tuple[str, int, str]]:
    return list(zip(refused["source_file"], refused["source_line"], refused["reason"], strict=True))


def write(folder: Path, name: str, content: str | bytes) -> Path:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def test_the_three_formats_say_the_same(tmp_path):
    write(tmp_path, "a.jsonl", json.dumps(EVENT) + "\n")
    write(tmp_path, "b.csv", f"{HEADER}\n{ROW}\n")
    pd.DataFrame([EVENT]).to_parquet(tmp_path / "c.parquet")
    raw, refused = read_drops(tmp_path)
    assert refused.empty
    assert tuple(raw.columns) == RAW_COLUMNS
    assert tuple(refused.columns) == TABLES["label_rejects"].column_names
    assert list(raw["source_file"]) == ["a.jsonl", "b.csv", "c.parquet"]
    assert list(raw["source_line"]) == [1, 2, 1]
    assert list(raw["video_id"]) == [str(BIG)] * 3
    assert list(raw["raw"][:2]) == [json.dumps(EVENT), ROW]
    assert json.loads(raw["raw"][2]) == EVENT
    fields = raw[list(FIELDS)].replace("", None)
    assert fields.iloc[0].equals(fields.iloc[1])
    assert fields.iloc[0].equals(fields.iloc[2])


def test_parquet_types_become_exact_text(tmp_path):
    frame = pd.DataFrame(
        {
            **{name: [EVENT[name]] * 2 for name in FIELDS},
            "video_id": [Decimal(BIG), None],
            "labelled_at": [pd.Timestamp("2026-01-06T10:00:00.25Z"), pd.NaT],
            "seconds_taken": [0.5, 1.5],
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    raw, _ = read_drops(tmp_path)
    assert raw["video_id"][0] == str(BIG)
    assert raw["video_id"].isna()[1]
    assert pd.Timestamp(raw["labelled_at"][0]) == pd.Timestamp("2026-01-06T10:00:00.25Z")
    assert json.loads(raw["raw"][1])["seconds_taken"] == 1.5


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_mark_and_line_ends(tmp_path, mark, end):
    write(tmp_path, "a.csv", mark + f"{HEADER}{end}{ROW}{end}".encode())
    write(tmp_path, "b.jsonl", mark + (json.dumps(EVENT) + end + end).encode())
    raw, refused = read_drops(tmp_path)
    assert refused.empty
    assert list(raw["event_id"]) == ["e1", "e1"]
    assert list(raw["raw"]) == [ROW, json.dumps(EVENT)]


def test_decimal_commas_do_not_move_columns(tmp_path):
    header = "seconds_taken;" + ";".join(FIELDS[:-1])
    write(tmp_path, "a.csv", f"{header}\n0,5;e1;{BIG},0;violence;anna;unsure;2026-01-06 10:00:00,5;2026-1;\n")
    write(tmp_path, "b.csv", f'{HEADER},seconds_taken\n{ROW},"0,5"\n{ROW},0,5\n')
    write(tmp_path, "c.csv", HEADER.replace(",", "\t") + "\n" + ROW.replace(",", "\t"))
    raw, refused = read_drops(tmp_path)
    assert list(raw["source_file"]) == ["a.csv", "b.csv", "c.csv"]
    assert list(raw["video_id"]) == [f"{BIG},0", str(BIG), str(BIG)]
    assert raw["labelled_at"][0] == "2026-01-06 10:00:00,5"
    assert reasons(refused) == [("b.csv", 3, Reason.UNREADABLE_LINE)]
    assert "11 fields, the header has 10" in refused["detail"][0]


def test_line_breaks_in_quotes_and_quotes_that_never_close(tmp_path):
    lines = [
        HEADER + ",note",
        f'{ROW},"two',  # 2 and 3: one record
        'lines"',
        f'{ROW},"never closed',  # 4
        f"{ROW},fine",  # 5
        f'{ROW},"closed"x',  # 6
        f"{ROW},fine",  # 7
        f'{ROW},"never closed either',  # 8
    ]
    raw, refused = read_drops(write(tmp_path, "a.csv", "\n".join(lines)))
    assert list(raw["source_line"]) == [2, 5, 7]
    assert raw["raw"][0] == "\n".join(lines[1:3])
    assert reasons(refused) == [("a.csv", n, Reason.UNREADABLE_LINE) for n in (4, 6, 8)]
    assert list(refused["raw"]) == [lines[3], lines[5], lines[7]]


def test_a_quote_that_never_closes_in_a_long_file_costs_one_line(tmp_path):
    lines = [HEADER, ROW.replace("anna", '"anna'), *[ROW] * 500]
    raw, refused = read_drops(write(tmp_path, "a.csv", "\n".join(lines)))
    assert len(raw) == 500
    assert reasons(refused) == [("a.csv", 2, Reason.UNREADABLE_LINE)]


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        ("{", Reason.UNREADABLE_LINE, "not JSON"),
        ("[1]", Reason.UNREADABLE_LINE, "expected a JSON object"),
        ("[" * 100_000, Reason.UNREADABLE_LINE, "recursion"),
        ('{"event_id": "a", "event_id": "b"}', Reason.UNREADABLE_LINE, "'event_id' occurs twice"),
        ('{"event_id": ["a"]}', Reason.WRONG_TYPE, "event_id"),
        ('{"event_id": true}', Reason.WRONG_TYPE, "event_id"),
        ('{"event_id": "\\ud800"}', Reason.WRONG_ENCODING, "event_id"),
    ],
)
def test_json_lines_that_are_no_event(tmp_path, line, reason, detail):
    raw, refused = read_drops(write(tmp_path, "a.jsonl", f"{json.dumps(EVENT)}\n{line}\n"))
    assert len(raw) == 1
    assert reasons(refused) == [("a.jsonl", 2, reason)]
    assert detail in refused["detail"][0]
    assert refused["raw"][0] == line


def test_json_numbers_stay_as_written(tmp_path):
    line = '{"event_id": 17, "video_id": 9223372036854775807, "reviewer_id": 7e400, "policy": NaN}'
    raw, _ = read_drops(write(tmp_path, "a.jsonl", line))
    assert list(raw.loc[0, ["event_id", "video_id", "reviewer_id"]]) == ["17", str(BIG), "7e400"]
    assert pd.isna(raw["policy"][0])


def test_wrong_encoding(tmp_path):
    write(tmp_path, "a.csv", f"{HEADER}\n{ROW}\n".encode("utf-16"))
    write(tmp_path, "b.csv", f"{HEADER}\n{ROW}\n{ROW.replace('anna', 'Åsa')}\n".encode("latin-1"))
    raw, refused = read_drops(tmp_path)
    assert list(raw["source_file"]) == ["b.csv"]
    assert reasons(refused) == [("a.csv", 0, Reason.WRONG_ENCODING), ("b.csv", 3, Reason.WRONG_ENCODING)]
    assert "0xc5" in refused["detail"][1]
    assert "\\xc5sa" in refused["raw"][1]


@pytest.mark.parametrize(("name", "first"), [("a.jsonl", json.dumps(EVENT)), ("a.csv", f"{HEADER}\n{ROW}")])
def test_a_line_over_the_limit_is_refused_and_the_next_is_read(tmp_path, name, first):
    write(tmp_path, name, f"{first}\n{'x' * 10_000}\n{first.splitlines()[-1]}\n{'y' * 3000}")
    raw, refused = read_drops(tmp_path, limits=Limits(line=400))
    number = len(first.splitlines())
    assert list(raw["source_line"]) == [number, number + 2]
    assert reasons(refused) == [(name, number + n, Reason.LINE_TOO_LONG) for n in (1, 3)]
    assert refused["detail"][0].startswith("10001 bytes")
    assert list(refused["raw"].str[0]) == ["x", "y"]
    assert refused["raw"].str.len().max() <= 1000


@pytest.mark.parametrize(("name", "size"), [("a.jsonl", 2 * 2**30), ("a.csv", 2**26)])
def test_a_line_of_two_gigabytes_is_never_held_in_memory(tmp_path, name, size):
    first, good = (HEADER, ROW) if name == "a.csv" else (json.dumps(EVENT), json.dumps(EVENT))
    with (tmp_path / name).open("wb") as file:
        file.write(f"{first}\n".encode())
        file.seek(size, 1)  # sparse: NUL bytes that take no room on disk
        file.write(f"\n{good}\n".encode())
    tracemalloc.start()
    raw, refused = read_drops(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reasons(refused) == [(name, 2, Reason.LINE_TOO_LONG)]
    assert refused["detail"][0].startswith(f"{size + 1} bytes")
    assert raw["source_line"].iloc[-1] == 3
    assert peak < 16 * 2**20


def test_limit_counts_the_line_without_its_end(tmp_path):
    line = json.dumps(EVENT)
    write(tmp_path, "a.jsonl", f"{line}\n{line}")
    assert len(read_drops(tmp_path, limits=Limits(line=len(line)))[0]) == 2
    assert len(read_drops(tmp_path, limits=Limits(line=len(line) - 1))[0]) == 0


def test_files_refused_as_a_whole(tmp_path):
    pd.DataFrame([EVENT]).to_parquet(tmp_path / "good.parquet")
    whole = (tmp_path / "good.parquet").read_bytes()
    write(tmp_path, "cut.parquet", whole[:-20])
    write(tmp_path, "noise.parquet", b"no parquet at all")
    write(tmp_path, "empty.csv", b"")
    write(tmp_path, "notes.txt", b"hello")
    (tmp_path / "folder.csv").mkdir()
    raw, refused = read_drops(tmp_path)
    assert list(raw["source_file"]) == ["good.parquet"]
    assert reasons(refused) == [
        ("cut.parquet", 0, Reason.UNREADABLE_FILE),
        ("empty.csv", 0, Reason.EMPTY_FILE),
        ("folder.csv", 0, Reason.UNKNOWN_FILE_TYPE),
        ("noise.parquet", 0, Reason.UNREADABLE_FILE),
        ("notes.txt", 0, Reason.UNKNOWN_FILE_TYPE),
    ]
    assert all(refused["detail"])


def test_missing_columns_refuse_every_line_with_its_text(tmp_path):
    write(tmp_path, "a.csv", f"{HEADER.replace('policy', 'Policy')}\n{ROW}\n")
    write(tmp_path, "b.csv", f"{HEADER},policy\n{ROW},x\n")
    pd.DataFrame([EVENT, EVENT]).drop(columns="decision").to_parquet(tmp_path / "c.parquet")
    raw, refused = read_drops(tmp_path)
    assert raw.empty
    assert reasons(refused) == [
        *[("a.csv", n, Reason.BAD_COLUMNS) for n in (1, 2)],
        *[("b.csv", n, Reason.BAD_COLUMNS) for n in (1, 2)],
        *[("c.parquet", n, Reason.BAD_COLUMNS) for n in (1, 2)],
    ]
    assert refused["detail"][0].startswith("no column policy;")
    assert "policy occurs twice" in refused["detail"][2]
    assert refused["raw"][1] == ROW
    assert json.loads(refused["raw"][4])["event_id"] == "e1"


def test_optional_columns_may_be_absent(tmp_path):
    write(tmp_path, "a.csv", f"{','.join(FIELDS[:7])}\n{ROW.removesuffix(',,')}\n")
    raw, refused = read_drops(tmp_path)
    assert refused.empty
    assert raw[["sample_id", "supersedes"]].isna().all(axis=None)


def test_unfinished_files_and_missing_folders_hold_nothing(tmp_path):
    for name in (".a.jsonl", "_a.jsonl", "a.jsonl.tmp", "a.jsonl.part"):
        write(tmp_path, name, json.dumps(EVENT))
    for folder in (tmp_path, tmp_path / "nowhere"):
        raw, refused = read_drops(folder)
        assert raw.empty
        assert refused.empty


def test_a_parquet_column_of_lists_is_refused_and_a_day_is_the_text_it_is(tmp_path):
    rows = [{**EVENT, "reviewer_id": ["anna"]}, {**EVENT, "reviewer_id": None}]
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    frame = pd.DataFrame([{**EVENT, "labelled_at": dt.date(2026, 1, 6)}])
    frame.to_parquet(tmp_path / "b.parquet")
    raw, refused = read_drops(tmp_path)
    assert reasons(refused) == [("a.parquet", 1, Reason.WRONG_TYPE), ("a.parquet", 2, Reason.WRONG_TYPE)]
    assert list(raw["labelled_at"]) == ["2026-01-06"]


def test_every_reason_says_what_it_means():
    assert all(reason.meaning.endswith(".") for reason in Reason)
    assert len({reason.meaning for reason in Reason}) == len(Reason)


LINES = st.one_of(
    st.just(json.dumps(EVENT)),
    st.just(ROW),
    st.just(HEADER),
    st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=30),
    st.sampled_from(['"', "\\", "{}", "[]", "null", ";;;;;;;;", '{"video_id": 1.5}', "\x00", " "]),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=8))
def test_every_line_is_an_event_or_a_refusal(tmp_path, lines):
    write(tmp_path, "a.jsonl", "x\n" + "\n".join(lines))
    raw, refused = read_drops(tmp_path)
    written = ["x", *lines]
    expected = [n for n, line in enumerate(written, start=1) if line.strip("\r") and not line.isspace()]
    assert sorted([*raw["source_line"], *refused["source_line"]]) == expected


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), head=st.sampled_from([b"", f"{HEADER}\n".encode(), b"PAR1"]))
def test_no_content_raises_and_no_line_is_reported_twice(tmp_path, content, head):
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        write(tmp_path, name, head + content)
    raw, refused = read_drops(tmp_path)
    both = pd.concat([raw, refused])
    assert not both.duplicated(["source_file", "source_line"]).any()
    assert all("".join(row).encode() for row in refused[["raw", "detail"]].to_numpy())  # storable: no half surrogates


def test_rows_of_a_table_are_read_as_lines_of_a_file_in_an_order_of_their_own(tmp_path):
    rows = pd.DataFrame(
        {
            "event_id": ["b", "a"],
            "video_id": [2**62 + 1, 7],
            "policy": "violence",
            "reviewer_id": "r",
            "decision": ["violating", "unsure"],
            "labelled_at": pd.to_datetime(["2026-11-02T01:02:03.000004Z", "2026-11-02T05:06:07Z"], format="ISO8601"),
            "guideline_version": "2026-1",
            "sample_id": [None, "s"],
            "supersedes": None,
        }
    )
    (tmp_path / "more.jsonl").write_text('{"event_id": "c"}\n')
    raw, refused = read_drops(tmp_path, rows)
    assert refused.empty
    assert raw[["source_file", "source_line", "event_id"]].to_numpy().tolist() == [
        ["more.jsonl", 1, "c"],
        ["reviewer_labels", 1, "a"],
        ["reviewer_labels", 2, "b"],
    ]
    assert raw["video_id"].iloc[2] == str(2**62 + 1)
    assert raw["labelled_at"].iloc[2] == "2026-11-02T01:02:03.000004+00:00"
    assert json.loads(raw["raw"].iloc[1])["sample_id"] == "s"
    again, _ = read_drops(tmp_path, rows.iloc[::-1])
    pd.testing.assert_frame_equal(again, raw)
