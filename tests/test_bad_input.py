"""Bad input of every kind: where it stops, what is said, that nothing comes of it, and that a good delivery heals."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from include.config.load import DEFAULT_CONFIG
from include.config.yaml_file import read_yaml, write_yaml
from include.contract.tables import TABLES
from include.evidence.accepted import accepted, scored_cells
from include.evidence.enforcement import enforced
from include.labels import stage as labels
from include.project import Project, open_project
from include.quality.gate import GateFailed
from include.sampling import stage as sampling
from include.simulation.platform import Platform
from include.simulation.scenario import load_scenario
from include.thresholds import stage as thresholds
from include.warehouse.base import MissingPartition, UnreadablePartition
from tests.history import SAMPLING
from tests.places import settings_in

pytestmark = pytest.mark.slow

BEFORE, DAY = date(2026, 11, 1), date(2026, 11, 2)
FILE = "violence-v3.parquet"
BAD = 7
"""Rows broken, where rows are broken."""


@dataclass(frozen=True)
class Site:
    """A small simulated platform and Plumbline's tables over it, in one folder."""

    home: Path

    @property
    def project(self) -> Project:
        return open_project(settings_in(self.home))

    def land(self, day: date) -> None:
        places = self.project.settings
        Platform(
            load_scenario("calm", videos_per_day=3_000),
            landing=places.landing,
            queue=places.queue,
            thresholds=places.thresholds,
            truth=self.home / "truth",
            start=BEFORE,
        ).land_day(day)

    def sample(self, day: date) -> None:
        for step in SAMPLING:
            step(self.project, day)

    def ingest(self, day: date) -> None:
        labels.gate_labels(self.project, day, labels.ingest_events(self.project, day))
        labels.form_consensus(self.project, day)
        labels.gate_consensus(self.project, day)

    def folder(self, table: str, day: date = DAY) -> Path:
        return self.home / "landing" / table / f"ds={day}"

    def queue(self, day: date = DAY) -> Path:
        return self.project.settings.queue / f"ds={day}"

    def accepted(self, table: str, gate: str, day: date = DAY) -> pd.DataFrame:
        """What a later stage gets of the day."""
        return accepted(self.project, table, gate, BEFORE, day).query("ds == @day")

    def outputs(self) -> dict[str, Any]:
        """Content hash of every partition but the trace of healed failures, and of the review queues."""
        warehouse = self.project.warehouse
        owned = [name for name, table in TABLES.items() if table.owner == "plumbline" and name != "gate_failures"]
        found: dict[str, Any] = {
            f"{name}/{day}": warehouse.fingerprint(name, day) for name in owned for day in warehouse.days(name)
        }
        return found | self.exported()

    def exported(self) -> dict[str, bytes]:
        """The files of the day's queues."""
        found = {path.name: path.read_bytes() for path in self.queue().iterdir()}
        assert {"queue_BR.csv", "queue_DE.json", "experts_IN.csv", "label_studio.xml"} < found.keys()
        return found

    def nothing_came_of_scores(self) -> bool:
        """Whether no queue was exported, and no later stage would count the day."""
        tables = [("score_profile", "scores"), ("score_histogram", "scores"), ("review_sample", "sample")]
        return not self.queue().exists() and all(self.accepted(table, gate).empty for table, gate in tables)


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A day that was sampled and labelled, and another that has arrived."""
    site = Site(tmp_path_factory.mktemp("delivered"))
    site.land(BEFORE)
    site.sample(BEFORE)
    site.ingest(BEFORE)
    site.land(DAY)
    return site


@pytest.fixture
def site(delivered: Site, tmp_path: Path) -> Site:
    return Site(Path(shutil.copytree(delivered.home, tmp_path / "home")))


@pytest.fixture(scope="module")
def unharmed(delivered: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the day gives when nothing was ever wrong with it."""
    clean = Site(Path(shutil.copytree(delivered.home, tmp_path_factory.mktemp("unharmed") / "home")))
    clean.sample(DAY)
    return {Path(name).name: content for name, content in clean.outputs().items()}


Break = Callable[[Path], None]
"""What is done to the day's folder of video_scores."""


def rows(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Break:
    """Rewrites one of the day's files."""

    def break_folder(folder: Path) -> None:
        frame = pd.read_parquet(folder / FILE).astype({"video_id": "Int64", "views": "Int64"})
        change(frame).to_parquet(folder / FILE, index=False)

    return break_folder


def some(column: str, value: object) -> Break:
    """The first rows of one market get another value."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        first = frame.index[frame["market"] == "BR"][:BAD]
        values = frame[column].astype(object)
        values[first] = value
        return frame.assign(**{column: values.astype(frame[column].dtype)})

    return rows(change)


def content(change: Callable[[bytes], bytes]) -> Break:
    def break_folder(folder: Path) -> None:
        (folder / FILE).write_bytes(change((folder / FILE).read_bytes()))

    return break_folder


def no_file(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def no_rows(folder: Path) -> None:
    for file in folder.glob("*.parquet"):
        pd.read_parquet(file).head(0).to_parquet(file, index=False)


def nan_scores(folder: Path) -> None:
    """NaN, which pandas would write as NULL."""
    table = pq.read_table(folder / FILE)
    score, market = table["score"].to_pylist(), table["market"].to_pylist()
    for row in [row for row, name in enumerate(market) if name == "BR"][:BAD]:
        score[row] = float("nan")
    pq.write_table(table.set_column(table.column_names.index("score"), "score", [score]), folder / FILE)


def repeated(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame[frame["market"] == "BR"].head(BAD)], ignore_index=True)


NOT_READABLE: dict[str, tuple[Break, str, tuple[str, ...]]] = {
    "missing day": (shutil.rmtree, "1 of 1", ("missing_day", "the day has no files")),
    "no file": (no_file, "1 of 1", ("missing_day",)),
    "empty file": (content(lambda _: b""), "1 of 1", (FILE, "unreadable")),
    "no row in any file": (no_rows, "1 of 1", ("problem=empty", "3 file(s)")),
    "footer cut off": (content(lambda old: old[:-200]), "1 of 1", (FILE, "unreadable")),
    "not Parquet": (content(lambda _: b"video_id,policy\n1,violence\n"), "1 of 1", (FILE, "unreadable")),
    "score as text": (
        rows(lambda frame: frame.assign(score="0.5")),
        "1 of 1",
        ("column score:", FILE, "wrong_type", "FLOAT64 expected"),
    ),
    "video_id as float": (
        rows(lambda frame: frame.assign(video_id=frame["video_id"].astype("float64"))),
        "1 of 1",
        ("column video_id:", FILE, "is double, INT64 expected"),
    ),
    "missing columns": (
        rows(lambda frame: frame.drop(columns=["market", "views"])),
        "2 of 2",
        ("column market, views:", FILE, "missing_column", "INT64 expected"),
    ),
}

CELL = "cell=violence/BR/violence-v3"
NOT_FIT: dict[str, tuple[Break, str, tuple[str, ...]]] = {
    "unknown policy": (some("policy", "gambling"), "1 of 10 cells", ("column policy:", "policy=gambling")),
    "unknown market": (some("market", "US"), "1 of 10 cells", ("column market:", "market=US")),
    "unknown model version": (
        some("model_version", "violence-v9"),
        "1 of 10 cells",
        ("column model_version:", "violence-v9", "configured for its policy"),
    ),
    "score 1.7": (some("score", 1.7), "1 of 9 cells", ("column score:", f"out_of_range_scores={BAD}", CELL)),
    "score NaN": (nan_scores, "1 of 9 cells", ("column score:", f"out_of_range_scores={BAD}", CELL)),
    "score -inf": (some("score", -np.inf), "1 of 9 cells", ("column score:", f"out_of_range_scores={BAD}", CELL)),
    "negative views": (some("views", -1), "1 of 9 cells", ("column views:", f"negative_views={BAD}", CELL)),
    "NULL views": (some("views", pd.NA), "1 of 9 cells", ("column views:", f"negative_views={BAD}", CELL)),
    "duplicate keys": (
        rows(repeated),
        "1 of 9 cells",
        ("column video_id, policy, model_version:", f"duplicate_keys={BAD}", CELL),
    ),
    "NULL video_id": (some("video_id", pd.NA), "1 of 9 cells", ("column video_id,", f"null_keys={BAD}", CELL)),
    "NULL policy": (some("policy", None), "1 of 1 days", ("column video_id, policy,", f"null_keys={BAD}")),
    "NULL market": (some("market", None), "1 of 1 days", ("market:", f"null_keys={BAD}")),
    "no scores": (
        rows(lambda frame: frame.assign(score=np.nan)),
        "3 of 9 cells",
        ("column score:", "null_score_share=1", CELL),
    ),
    "lost rows": (
        rows(lambda frame: frame.head(300)),
        "3 of 9 cells",
        ("column n_rows:", "usual_rows=", "volume_ratio=0.", CELL),
    ),
    "lost cell": (
        rows(lambda frame: frame[frame["market"] != "BR"]),
        "1 of 9 cells",
        ("column n_rows:", "volume_ratio=0,", CELL, "n_rows=0"),
    ),
}


@pytest.mark.parametrize("kind", NOT_READABLE)
def test_a_day_that_cannot_be_read_stops_before_any_scan(site: Site, kind: str) -> None:
    spoil, count, words = NOT_READABLE[kind]
    spoil(site.folder("video_scores"))
    with pytest.raises(GateFailed) as failed:
        site.sample(DAY)
    _says(str(failed.value), f"gate scores_input of {DAY}", f"video_scores, {DAY}", count, *words)
    assert site.nothing_came_of_scores()
    assert site.project.warehouse.read("score_profile", DAY, DAY).empty


@pytest.mark.parametrize("kind", NOT_FIT)
def test_scores_that_are_not_fit_stop_before_the_design(site: Site, kind: str) -> None:
    spoil, count, words = NOT_FIT[kind]
    spoil(site.folder("video_scores"))
    with pytest.raises(GateFailed) as failed:
        site.sample(DAY)
    assert f"gate scores of {DAY} failed" in str(failed.value)
    messages = failed.value.outcome.failures
    _says(messages[-1], f"video_scores, {DAY}, column ", count, *words)
    assert len(messages) == 1 or kind == "NULL video_id", messages  # which the day as a whole is asked about, too
    assert site.nothing_came_of_scores()
    assert site.project.warehouse.read("sampling_design", DAY, DAY).empty


@pytest.mark.parametrize("spoil", [NOT_READABLE["footer cut off"][0], NOT_FIT["score 1.7"][0]])
def test_the_next_good_delivery_heals_without_hand_work(site: Site, unharmed: dict[str, Any], spoil: Break) -> None:
    spoil(site.folder("video_scores"))
    with pytest.raises(GateFailed):
        site.sample(DAY)
    site.land(DAY)
    site.sample(DAY)
    assert {Path(name).name: content for name, content in site.outputs().items()} == unharmed


def test_further_columns_and_narrower_types_change_nothing(site: Site, unharmed: dict[str, Any]) -> None:
    def extended(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.assign(duration=12.5, tags="a,b")
        frame = frame.astype({"views": "int32", "policy": "category"})
        return frame.reindex(columns=sorted(frame.columns))

    rows(extended)(site.folder("video_scores"))
    site.sample(DAY)
    assert {Path(name).name: content for name, content in site.outputs().items()} == unharmed


def test_a_few_bad_values_are_shown_as_a_warning_and_treated_as_no_score(site: Site) -> None:
    gates = site.project.config.gates.model_copy(update={"max_invalid_share": 0.05})
    project = site.project
    tolerant = Project(project.settings, project.config.model_copy(update={"gates": gates}), project.warehouse)
    some("score", 1.7)(site.folder("video_scores"))
    sampling.gate_scores_input(tolerant, DAY)
    sampling.scan_scores(tolerant, DAY)
    sampling.gate_scores(tolerant, DAY)
    found = project.warehouse.read("quality_results", DAY, DAY).query("not success")
    assert found["severity"].tolist() == ["warning"]
    assert f"out_of_range_scores={BAD}" in found["observed"].iloc[0]
    histogram = site.accepted("score_histogram", "scores").query("policy == 'violence' and market == 'BR'")
    landed = pd.read_parquet(site.folder("video_scores") / FILE).query("market == 'BR'")
    assert histogram["n_videos"].sum() == len(landed)
    assert histogram.loc[histogram["bin"] == -1, "n_videos"].sum() == landed["score"].isna().sum() + BAD


def test_a_bad_redelivery_leaves_the_queue_and_counts_for_nobody(site: Site) -> None:
    site.sample(DAY)
    exported = site.exported()
    some("views", -1)(site.folder("video_scores"))
    with pytest.raises(GateFailed):
        site.sample(DAY)
    assert site.exported() == exported
    assert site.accepted("score_histogram", "scores").empty
    assert len(site.accepted("score_histogram", "scores", BEFORE)) > 0


def test_what_was_replaced_counts_for_nobody_until_it_is_judged_again(site: Site) -> None:
    site.sample(DAY)
    site.ingest(DAY)
    for replace, table, gate in (
        (sampling.scan_scores, "score_histogram", "scores"),
        (sampling.draw_sample, "review_sample", "sample"),
        (labels.ingest_events, "label_events", "labels"),
        (labels.form_consensus, "label_consensus", "consensus"),
    ):
        assert not site.accepted(table, gate).empty
        replace(site.project, DAY)
        assert site.accepted(table, gate).empty, gate


def test_a_bad_day_is_not_in_the_next_days_trailing_week(site: Site) -> None:
    rows(lambda frame: frame.head(300))(site.folder("video_scores"))
    with pytest.raises(GateFailed):
        site.sample(DAY)
    after = DAY + timedelta(days=1)
    site.land(after)
    site.sample(after)
    results = site.project.warehouse.read("quality_results", after, after).query("gate == 'scores'")
    ratio = results[results["expectation"].str.startswith("rows of a cell are at least")]
    assert ratio["observed"].str.contains("holds for 9 cells").all()
    assert (site.queue(after) / "queue_BR.csv").exists()


def test_no_threshold_is_published_from_a_bad_day(site: Site) -> None:
    some("score", 1.7)(site.folder("video_scores"))
    with pytest.raises(GateFailed):
        site.sample(DAY)
    site.ingest(DAY)
    thresholds.propose_thresholds(site.project, DAY)
    with pytest.raises(GateFailed, match=r"threshold_proposals, 2026-11-02: 0 rows.*at least one proposal") as failed:
        thresholds.gate_proposals(site.project, DAY)
    assert "could not be judged" not in str(failed.value)
    assert site.project.warehouse.read("threshold_ledger").empty
    assert not site.project.settings.thresholds.exists()


def _spoil_pages(file: Path) -> None:
    """Overwrites every data page and leaves the footer."""
    footer = pq.ParquetFile(file).metadata
    chunks = [footer.row_group(g).column(c) for g in range(footer.num_row_groups) for c in range(footer.num_columns)]
    data = bytearray(file.read_bytes())
    start = min(chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks)
    data[start : start + sum(chunk.total_compressed_size for chunk in chunks)] = bytes(
        0xA5 for _ in range(sum(chunk.total_compressed_size for chunk in chunks))
    )
    file.write_bytes(data)
    assert pq.ParquetFile(file).metadata.num_rows == footer.num_rows


def test_damage_behind_a_good_footer_is_named_and_heals(site: Site, unharmed: dict[str, Any]) -> None:
    _spoil_pages(site.folder("video_scores") / FILE)
    with pytest.raises(UnreadablePartition) as failed:
        site.sample(DAY)
    _says(str(failed.value), "video_scores", str(DAY), FILE)
    assert site.nothing_came_of_scores()
    site.land(DAY)
    site.sample(DAY)
    assert {Path(name).name: content for name, content in site.outputs().items()} == unharmed


OPTIONAL = {
    "golden_labels": {"video_id": 1, "policy": "violence", "violating": True, "guideline_version": "2026-1"},
    "appeals": {
        "event_id": "a",
        "video_id": 1,
        "policy": "violence",
        "outcome": "upheld",
        "decided_at": pd.Timestamp("2026-11-01T10:00Z"),
    },
    "enforcement_log": {
        "video_id": 1,
        "policy": "violence",
        "market": "BR",
        "model_version": "violence-v3",
        "action": "allow",
        "threshold_version": 1,
        "decided_at": pd.Timestamp("2026-11-01T10:00Z"),
    },
}


GATES = {
    "golden_labels": labels.gate_golden_labels,
    "appeals": thresholds.gate_appeals,
    "enforcement_log": thresholds.gate_enforcement_log,
}


def counted(project: Project, table: str) -> int:
    """How many rows of the day count; the log is counted in one group."""
    if table != "enforcement_log":
        return len(project.warehouse.read(table, DAY, DAY))
    groups = enforced(project, DAY)
    return 0 if groups is None else int(groups["n_videos"].sum())


@pytest.mark.parametrize("table", OPTIONAL)
@pytest.mark.parametrize("damage", [_spoil_pages, lambda file: file.write_bytes(b"PAR1")], ids=["pages", "footer"])
def test_damaged_optional_input_is_named_counts_for_nothing_and_heals(
    tmp_path: Path, table: str, damage: Callable[[Path], Any]
) -> None:
    site = Site(tmp_path)
    site.folder(table).mkdir(parents=True)
    file, key = site.folder(table) / "part.parquet", TABLES[table].key[0]
    rows = pd.DataFrame([OPTIONAL[table]] * 1_000)
    rows[key] = range(1_000) if key == "video_id" else [f"a{n}" for n in range(1_000)]
    rows.to_parquet(file, index=False)
    sound = file.read_bytes()
    assert counted(site.project, table) == 1_000
    damage(file)
    with pytest.raises(GateFailed) as failed:
        GATES[table](site.project, DAY)
    _says(str(failed.value), table, str(DAY), file.name, "unreadable_file")
    assert counted(site.project, table) == 0
    aside = site.project.warehouse.read("input_rejects", DAY, DAY, slice_value=table)
    assert aside["source_file"].tolist() == [file.name]
    file.write_bytes(sound)
    GATES[table](site.project, DAY)
    assert counted(site.project, table) == 1_000
    assert site.project.warehouse.read("input_rejects", DAY, DAY, slice_value=table).empty


def test_a_day_nobody_delivered_is_named_by_the_scan_itself(site: Site) -> None:
    shutil.rmtree(site.folder("video_scores"))
    with pytest.raises(MissingPartition, match=f"video_scores has no partition for {DAY}"):
        site.project.warehouse.query("profile_and_histogram", {"ds": DAY, "id_mask": 0})


UNREADABLE = {
    "cut off": ('{"event_id": "e1", "video_id": 1', "unreadable_line", "not JSON"),
    "no object": ("[1, 2]", "unreadable_line", "expected a JSON object"),
    "not UTF-8": ('{"event_id": "\xff"}', "wrong_encoding", "0xff"),
    "nothing in it": ("{}", "missing_field", "event_id"),
    "policy nobody configured": (
        '{"event_id": "e1", "video_id": 1, "policy": "gambling", "reviewer_id": "r", "decision": "violating", '
        '"labelled_at": "2026-11-02T10:00:00Z", "guideline_version": "2026-1"}',
        "unknown_policy",
        "policy: 'gambling'",
    ),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_label_line_is_refused_alone(site: Site, kind: str) -> None:
    line, reason, detail = UNREADABLE[kind]
    labels.ingest_events(site.project, DAY)
    events = site.project.warehouse.read("label_events", DAY, DAY)
    others = site.project.warehouse.read("label_rejects", DAY, DAY)
    file = site.folder("reviewer_labels") / "labels.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:4], line.encode("latin-1") + b"\n", *lines[4:]]))

    labels.gate_labels(site.project, DAY, labels.ingest_events(site.project, DAY))
    rejects = site.project.warehouse.read("label_rejects", DAY, DAY)
    assert len(rejects) == len(others) + 1
    (found,) = rejects.query("source_file == 'labels.jsonl' and source_line == 5").to_dict("records")
    assert found["reason"] == reason
    assert detail in found["detail"]
    assert found["raw"] == line.replace("\xff", "\\xff")
    good = site.project.warehouse.read("label_events", DAY, DAY)
    pd.testing.assert_frame_equal(good.drop(columns="source_line"), events.drop(columns="source_line"))


def test_a_garbage_drop_stops_by_name_and_the_others_go_through(site: Site) -> None:
    site.ingest(DAY)
    before = _label_tables(site)
    good = site.project.warehouse.read("label_events", DAY, DAY)
    site.folder("reviewer_labels").joinpath("vendor2.jsonl").write_text("{not json\n" * 5_000, encoding="utf-8")
    site.ingest(DAY)
    results = site.project.warehouse.read("quality_results", DAY, DAY, slice_value="labels")
    (failed,) = results[~results["success"]].to_dict("records")
    assert failed["severity"] == "warning"
    _says(failed["observed"], "source_file=vendor2.jsonl", "5000 refused, mostly vendor2.jsonl:1 unreadable_line")
    pd.testing.assert_frame_equal(site.project.warehouse.read("label_events", DAY, DAY), good)
    after = _label_tables(site)
    assert {table for table in before if after[table] != before[table]} == {"label_rejects"}


def test_a_day_of_garbage_alone_stops_at_the_labels_gate_and_heals(site: Site) -> None:
    site.ingest(DAY)
    before = _label_tables(site)
    files = {file: file.read_bytes() for file in site.folder("reviewer_labels").iterdir()}
    for file, content in files.items():
        file.write_bytes(content.replace(b"violat", b"v\xffolat"))
    with pytest.raises(GateFailed) as failed:
        site.ingest(DAY)
    _says(
        str(failed.value),
        f"gate labels of {DAY} failed 1 critical check:",
        f"reviewer_labels, {DAY}, column event_id:",
        f"files_aside={len(files)}",
        "files that are mostly garbage are not all there is",
    )
    assert site.accepted("label_events", "labels").empty

    for file, content in files.items():
        file.write_bytes(content)
    site.ingest(DAY)
    assert _label_tables(site) == before
    assert len(site.accepted("label_events", "labels")) > 0


def test_a_damaged_label_file_is_refused_by_name_and_the_others_count(site: Site) -> None:
    labels.ingest_events(site.project, DAY)
    before = len(site.project.warehouse.read("label_events", DAY, DAY))
    (site.folder("reviewer_labels") / "vendor3.parquet").write_bytes(b"PAR1 and no more")
    site.ingest(DAY)
    (found,) = site.project.warehouse.read("label_rejects", DAY, DAY).query("source_line == 0").to_dict("records")
    assert (found["source_file"], found["reason"]) == ("vendor3.parquet", "unreadable_file")
    results = site.project.warehouse.read("quality_results", DAY, DAY, slice_value="labels")
    _says(results.loc[~results["success"], "observed"].item(), "source_file=vendor3.parquet", "unreadable_file")
    assert len(site.project.warehouse.read("label_events", DAY, DAY)) == before


def _label_tables(site: Site) -> dict[str, str | None]:
    tables = ("label_events", "label_rejects", "label_consensus", "label_completeness", "reviewer_quality")
    return {table: site.project.warehouse.fingerprint(table, DAY) for table in tables}


def _says(message: str, *words: str) -> None:
    assert [word for word in words if word not in message] == [], message


def test_a_bad_cell_is_set_aside_and_the_rest_of_the_day_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    policies = read_yaml(DEFAULT_CONFIG).content
    policies["gates"]["max_set_aside_share"] = 0.3
    (site.home / "policies.yaml").write_text(write_yaml(policies), encoding="utf-8")
    monkeypatch.setenv("PLUMBLINE_CONFIG", str(site.home / "policies.yaml"))
    before = site.folder("video_scores") / FILE
    sound = before.read_bytes()
    some("views", -1)(site.folder("video_scores"))

    site.sample(DAY)
    project, cell = site.project, ["violence", "BR", "violence-v3"]
    profile = site.accepted("score_profile", "scores").set_index(["policy", "market", "model_version"])["set_aside"]
    assert list(profile.dropna().index) == [tuple(cell)]
    assert "with impossible views" in profile[tuple(cell)]
    drawn = site.accepted("review_sample", "sample").query("programme in ('audit', 'prevalence', 'training')")
    for part in (site.accepted("score_histogram", "scores"), drawn):
        there = set(map(tuple, part[["policy", "market", "model_version"]].to_numpy()))
        assert tuple(cell) not in there
        assert len(there) == 8
    assert tuple(cell) not in set(map(tuple, scored_cells(project, DAY).to_numpy()))
    results = project.warehouse.read("quality_results", DAY, DAY, slice_value="scores")
    (warned,) = results[~results["success"] & results["observed"].str.contains("views_share")].to_dict("records")
    assert (warned["severity"], "violence/BR" in warned["observed"]) == ("warning", True)
    site.ingest(DAY)
    thresholds.propose_thresholds(project, DAY)
    proposed = project.warehouse.read("threshold_proposals", DAY, DAY)[["policy", "market", "model_version"]]
    assert cell not in proposed.to_numpy().tolist()
    assert len(proposed) == 8, "its thresholds stay"

    sampling.gate_scores(project, DAY)  # once more, it is the same
    before.write_bytes(sound)
    site.sample(DAY)
    assert site.accepted("score_profile", "scores")["set_aside"].isna().all()
    assert len(site.accepted("score_histogram", "scores").groupby(["policy", "market", "model_version"])) == 9


def test_a_cell_that_was_set_aside_counts_only_once_its_scores_are_counted_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = read_yaml(DEFAULT_CONFIG).content
    path = site.home / "policies.yaml"
    monkeypatch.setenv("PLUMBLINE_CONFIG", str(path))
    some("views", -1)(site.folder("video_scores"))
    policies["gates"]["max_set_aside_share"] = 0.3
    path.write_text(write_yaml(policies), encoding="utf-8")
    site.sample(DAY)
    policies["gates"]["max_invalid_share"] = 0.5
    path.write_text(write_yaml(policies), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"violence/BR/violence-v3: it was set aside on 2026-11-02, .* clear scan_scores"
    ):
        sampling.gate_scores(site.project, DAY)
    site.sample(DAY)
    assert site.accepted("score_profile", "scores")["set_aside"].isna().all()
