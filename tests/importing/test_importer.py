from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.config.load import load_config
from include.contract.tables import CELL, TABLES
from include.importing.__main__ import main
from include.importing.columns import ImportRefused
from include.importing.importer import Imported, import_pair
from include.importing.pair import Columns, video_id
from include.sampling.design import design

DAY = date(2026, 3, 1)
COLUMNS = Columns(item="id", market="country", scores={"a": "model-a", "b": "model-b"}, rater="who", vote="bad")

SCORES = """\
id,country,note,a,b
7,DE,x,0.25,1
9007199254740993,DE,"y, z",,0.0
clip/3,BR,,0.5,1e-3
"""
VOTES = """\
who,id,bad
ann,7,1
bob,7,FALSE
ann,clip/3,true
"""


class Files:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.landing, self.config = root / "landing", root / "policies.yaml"
        self.scores, self.votes = root / "s.csv", root / "v.csv"

    def load(self, scores: str = SCORES, votes: str = VOTES, **options: float) -> Imported:
        self.scores.write_bytes(scores.encode("utf-8", "surrogateescape"))
        self.votes.write_text(votes)
        return self.again(self.scores, self.votes, **options)

    def again(self, scores: Path, votes: Path, **options: float) -> Imported:
        return import_pair(
            scores,
            votes,
            COLUMNS,
            policy="abuse",
            day=DAY,
            landing=self.landing,
            config=self.config,
            target_precision=options.get("target_precision"),
            confidence=options.get("confidence"),
        )

    def landed(self) -> dict[str, bytes]:
        files = sorted(path for path in self.landing.rglob("*") if path.is_file())
        return {str(path.relative_to(self.landing)): path.read_bytes() for path in files}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_scores_land_on_both_days_and_votes_on_the_second(files: Files) -> None:
    imported = files.load()
    assert list(files.landed()) == [
        "reviewer_labels/ds=2026-03-02/votes.parquet",
        "video_scores/ds=2026-03-01/scores.parquet",
        "video_scores/ds=2026-03-02/scores.parquet",
    ]
    first, second = (files.landing / f"video_scores/ds={day}/scores.parquet" for day in (DAY, imported.labels_day))
    assert first.read_bytes() == second.read_bytes()
    required = [column.name for column in TABLES["video_scores"].columns if not column.optional]
    assert pq.read_schema(first).remove_metadata().names == required
    text = int.from_bytes(hashlib.sha256(b"clip/3").digest()[:8]) >> 1
    rows = pq.read_table(first, partitioning=None).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (text, "abuse", "BR", "model-a", 0.5, 1),
        (7, "abuse", "DE", "model-a", 0.25, 1),
        (9007199254740993, "abuse", "DE", "model-a", None, 1),
        (text, "abuse", "BR", "model-b", 0.001, 1),
        (7, "abuse", "DE", "model-b", 1.0, 1),
        (9007199254740993, "abuse", "DE", "model-b", 0.0, 1),
    ]
    votes = pq.read_table(files.landing / "reviewer_labels/ds=2026-03-02/votes.parquet", partitioning=None).to_pylist()
    assert [(v["video_id"], v["reviewer_id"], v["decision"]) for v in votes] == [
        (7, "ann", "violating"),
        (7, "bob", "not_violating"),
        (text, "ann", "violating"),
    ]
    assert {v["labelled_at"] for v in votes} == {datetime(2026, 3, 2, 12, tzinfo=UTC)}
    assert len({v["event_id"] for v in votes}) == 3
    assert imported.markets == {"BR": 1, "DE": 2}
    assert imported.missing_scores == {"model-a": 1, "model-b": 0}
    assert (imported.votes, imported.raters, imported.voted_items) == (3, 2, 2)


def test_parquet_gives_what_csv_gives(files: Files, tmp_path: Path) -> None:
    files.load(SCORES.replace("clip/3", "3"), VOTES.replace("clip/3", "3"))
    from_csv = files.landed()
    scores = pd.read_csv(files.scores, dtype={"id": "int64", "country": "category"})
    votes = pd.read_csv(files.votes, dtype={"bad": "str"})
    votes["bad"] = votes["bad"].str.lower().isin(["1", "true"])
    scores.to_parquet(tmp_path / "s.parquet")
    votes.to_parquet(tmp_path / "v.PARQUET")
    files.config.unlink()
    files.again(tmp_path / "s.parquet", tmp_path / "v.PARQUET")
    assert files.landed() == from_csv


def test_an_id_is_itself_or_a_stable_hash() -> None:
    largest = 2**63 - 1
    assert [video_id(text) for text in ("0", "-12", str(largest), str(-largest - 1))] == [0, -12, largest, -largest - 1]
    hashed = ["007", "+7", "7.0", "-0", "", "ü", str(largest + 1)]
    ids = [video_id(text) for text in hashed]
    assert ids == [int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) // 2 for text in hashed]
    assert len({*ids, 7, 0}) == len(hashed) + 2


def test_the_configuration_fits_the_files(files: Files) -> None:
    imported = files.load(target_precision=0.7, confidence=0.8)
    config = load_config(files.config)
    policy = config.policies["abuse"]
    assert list(config.policies) == ["abuse"]
    assert policy.model_versions == ["model-a", "model-b"]
    assert (policy.target_precision, policy.confidence, policy.overlap) == (0.7, 0.8, 2)
    assert list(config.markets) == ["BR", "DE"]
    text = files.config.read_text()
    assert "equal-probability sample of a population that looks like" in text

    before = files.landed()
    assert files.load(target_precision=0.7, confidence=0.8) == imported
    assert (files.landed(), files.config.read_text()) == (before, text)
    with pytest.raises(ImportRefused, match=r"policies\.yaml: is there and says something else"):
        files.load(SCORES.replace("0.25", "0.75"), target_precision=0.6)
    assert files.landed() == before


@pytest.mark.parametrize("raters", [1, 3, 7])
def test_reviewer_minutes_draw_every_item_for_certain(files: Files, raters: int) -> None:
    items = [(n, market) for market, size in (("DE", 37), ("BR", 1), ("IN", 211)) for n in range(size)]
    scores = "".join(f"{market}{n},{market},{n % 19 / 18},{n % 7 / 7}\n" for n, market in items)
    votes = "".join(f"{who},{market}{n},1\n" for n, market in items for who in range(raters))
    files.load("id,country,a,b\n" + scores, "who,id,bad\n" + votes)
    config = load_config(files.config)
    landed = pd.read_parquet(files.landing / f"video_scores/ds={DAY}/scores.parquet")
    landed["bin"] = (landed["score"] * 1000).astype(int).clip(upper=999)
    histogram = landed.groupby([*CELL, "bin"]).size().rename("n_videos").reset_index().assign(n_views=1)
    cells = histogram[list(CELL)].drop_duplicates().assign(remove_at=1.0, review_at=1.0)
    strata = design(histogram, cells, pd.DataFrame(columns=[*CELL, "bin", "p_violating"]), config)
    assert (strata["inclusion_probability"] == 1).all()
    assert strata["population"].sum() == 2 * len(items)


BAD_SCORES = {
    "1.7": (SCORES.replace("0.25", "1.7"), r"s\.csv, column a, row 1: '1\.7' is not in \[0, 1\]"),
    "below 0": (SCORES.replace("1e-3", "-0.1"), r"column b, row 3: '-0\.1' is not in \[0, 1\]"),
    "infinite": (SCORES.replace("1e-3", "inf"), r"column b, row 3: 'inf' is not in \[0, 1\]"),
    "no number": (SCORES.replace("0.25", "high"), r"column a, row 1: 'high' is no number \(leave it blank"),
    "twice": (SCORES + "7,BR,,0.1,0.1\n7,BR,,0.1,0.1\n", r"column id, row 4: '7' occurs in an earlier row.*1 more"),
    "no id": (SCORES + " ,BR,,0.1,0.1\n", r"column id, row 4: '' is no item id"),
    "no market": (SCORES.replace("7,DE", "7, "), r"column country, row 1: '' is no name"),
    "bad market": (
        SCORES.replace("BR", "South America"),
        r"column country, row 3: 'South America' is no name: letters",
    ),
    "one id": (SCORES + f"{video_id('clip/3')},BR,,0.1,0.1\n", r"row 4: '\d+' has the video_id of another item"),
    "missing": (SCORES.replace("country", "land"), r"s\.csv: column 'country' is missing; the file has 'id', 'land'"),
    "two": (SCORES.replace("note", "a"), r"column 'a' occurs more than once"),
    "semicolons": (SCORES.replace(",", ";"), r"column 'id' is missing; the file has 'id;country;note;a;b'"),
    "short row": (SCORES + "8,DE\n", r"not a CSV file in UTF-8.*row 4: Expected 5 columns, got 2"),
    "Latin 1": (SCORES.replace("DE,x", "D\udce4,x"), r"not a CSV file in UTF-8"),
    "no rows": ("id,country,a,b\n", r"s\.csv: the file has no row"),
    "empty": ("", r"column 'id' is missing; the file has $"),
}


@pytest.mark.parametrize(("scores", "message"), BAD_SCORES.values(), ids=list(BAD_SCORES))
def test_bad_scores_are_refused_by_name(files: Files, scores: str, message: str) -> None:
    with pytest.raises(ImportRefused, match=message):
        files.load(scores)
    assert not files.landing.exists()
    assert not files.config.exists()


BAD_VOTES = {
    "maybe": (VOTES + "bob,clip/3,maybe\n", r"v\.csv, column bad, row 4: 'maybe' is no vote: 0, 1, true and false"),
    "blank": (VOTES + "bob,clip/3,\n", r"column bad, row 4: '' is no vote"),
    "unknown item": (VOTES + "bob,clip/4,1\nbob,8,0\n", r"column id, row 4: 'clip/4' is no item .*\(and 1 more\)"),
    "no rater": (VOTES + ",clip/3,1\n", r"column who, row 4: '' is no rater"),
    "twice": (VOTES + "bob,7,0\n", r"column who, row 4: 'bob' voted on this item in an earlier row"),
    "no rows": ("who,id,bad\n", r"v\.csv: the file has no row"),
}


ITEM = 1_582_917_533_873_852_417


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("kind", ["float64", "float32", "text", "point"])
def test_ids_that_a_float_may_have_rounded_are_refused_and_never_become_another_item(
    files: Files, ending: str, kind: str
) -> None:
    scores = pd.DataFrame({"id": [ITEM, 7], "country": "BR", "a": 0.9, "b": 0.8})
    votes = pd.DataFrame({"id": [ITEM, ITEM + 1, ITEM + 2], "who": ["a", "b", "c"], "bad": ["1", "0", "0"]})
    written = {"text": "{:.6E}".format, "point": "{}.0".format}
    for path, rows in ((files.scores, scores), (files.votes, votes)):
        ids = rows["id"].map(written[kind]) if kind in written else rows["id"].astype(np.dtype(kind))
        written_rows = rows.assign(id=ids)
        if ending == "csv":
            written_rows.to_csv(path, index=False)
        else:
            written_rows.to_parquet(path.with_suffix(".parquet"), index=False)
    with pytest.raises(ImportRefused, match=r"column id, row 1: .* passed through a float that may have rounded it"):
        files.again(files.scores.with_suffix(f".{ending}"), files.votes.with_suffix(f".{ending}"))
    assert not files.landing.exists()


def test_small_ids_that_a_column_with_gaps_wrote_as_floats_are_themselves(files: Files) -> None:
    assert files.load(votes=VOTES.replace(",7,", ",7.0,")) == files.load()


@pytest.mark.parametrize(("votes", "message"), BAD_VOTES.values(), ids=list(BAD_VOTES))
def test_bad_votes_are_refused_by_name(files: Files, votes: str, message: str) -> None:
    with pytest.raises(ImportRefused, match=message):
        files.load(votes=votes)
    assert not files.landing.exists()


def test_a_file_that_is_none_is_refused(files: Files, tmp_path: Path) -> None:
    files.load()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    pd.DataFrame({"id": [[1]], "country": ["DE"], "a": [0.1], "b": [0.1]}).to_parquet(tmp_path / "lists.parquet")
    for name, message in (
        ("none.csv", "there is no such file"),
        ("s.xlsx", r"expected a file ending in \.csv or \.parquet"),
        ("broken.parquet", "not a Parquet file"),
        ("lists.parquet", "column id: is list<.*; text or numbers are expected"),
    ):
        with pytest.raises(ImportRefused, match=rf"{name}.*{message}"):
            files.again(tmp_path / name, files.votes)


def test_a_target_that_is_none_is_refused(files: Files) -> None:
    with pytest.raises(ImportRefused, match=r"target_precision 95\.0 is not strictly between 0 and 1"):
        files.load(target_precision=95.0)


def test_the_command_imports_or_says_what_is_wrong(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    files.scores.write_text(SCORES)
    files.votes.write_text(VOTES)
    home = files.root / "home"
    command = f"--scores {files.scores} --votes {files.votes} --item id --market country --rater who --vote bad"
    command += f" --policy abuse --day 2026-03-01 --to {home} --score a=model-a"
    assert main([*command.split(), "--score", "b=model-b"]) == 0
    said = capsys.readouterr().out
    assert "3 items: BR 1, DE 2" in said
    assert "Items without a vote: 1;" in said
    assert "Items without a score of model-a: 1" in said
    assert f"the same command with --run; they lie in {home}" in said
    assert (home / "data/landing/video_scores/ds=2026-03-01/scores.parquet").exists()
    assert load_config(home / "policies.yaml").policies["abuse"].model_versions == ["model-a", "model-b"]

    for extra, message in (
        ("b=model-a", "each needs a model version of its own"),
        ("a=model-b", "--score names column 'a' twice"),
        ("b=model b", "model version 'model b' is no name"),
        ("id=model-b", "column 'id' is given two roles"),
    ):
        assert main([*command.split(), "--score", extra]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command.split(), "--score", "b"])
    assert "'b' is not COLUMN=VERSION" in capsys.readouterr().err
