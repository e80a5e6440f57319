"""Each rule of each gate: broken in one place, exactly that rule fails, and the message says what and where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from include.contract.tables import CELL, TABLES, Table
from include.contract.terms import Reason
from include.quality import suites
from include.quality.checks import Check, GateOutcome, Judged
from include.quality.gate import run_gate
from tests.quality import frames
from tests.quality.frames import CELLS, CONFIG, DAY

pytestmark = pytest.mark.slow

Break = Callable[[pd.DataFrame], pd.DataFrame]
FIRST = "/".join(CELLS[0])


def put(column: str, value: object, rows: slice | int = 0) -> Break:
    """A frame with `value` in `column` of the chosen rows."""

    def broken(rows_in: pd.DataFrame) -> pd.DataFrame:
        out = rows_in.copy()
        values = out[column].astype("object")
        values.iloc[rows] = value
        out[column] = values.infer_objects()
        return out

    return broken


def again(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows, rows.head(1)], ignore_index=True)


def without(column: str) -> Break:
    return lambda rows: rows.drop(columns=column)


def scores(profile: pd.DataFrame, history: pd.DataFrame | None = None) -> GateOutcome:
    judged = suites.scores(profile, frames.history() if history is None else history, CONFIG)
    return run_gate("scores", DAY, [part for part in judged if part.table == "video_scores"])


def sample(drawn: pd.DataFrame, design: pd.DataFrame | None = None) -> GateOutcome:
    return run_gate("sample", DAY, suites.sample(drawn, frames.design() if design is None else design, CONFIG))


def labels(events: pd.DataFrame, rejects: pd.DataFrame, n_read: int | None = None) -> GateOutcome:
    read = len(events) + len(rejects) if n_read is None else n_read
    return run_gate("labels", DAY, suites.labels(events, rejects, read, CONFIG))


def one_failure(messages: tuple[str, ...], *words: str) -> None:
    assert len(messages) == 1, messages
    for word in (*words, str(DAY)):
        assert word in messages[0], messages[0]


def spread(reason: str, n: int) -> pd.DataFrame:
    """`n` refusals, each in a file of its own: none of them is garbage as a whole."""
    return frames.label_rejects(*[reason] * n).assign(source_file=[f"b{i:02d}.jsonl" for i in range(n)])


def some_failure(messages: tuple[str, ...], *words: str) -> None:
    assert any(all(word in message for word in (*words, str(DAY))) for message in messages), messages


@pytest.mark.parametrize(
    "judged",
    [
        suites.scores(frames.profile(), frames.history(), CONFIG),
        suites.sample(frames.review_sample(), frames.design(), CONFIG),
        suites.labels(frames.label_events(), frames.label_rejects(), 100, CONFIG),
        suites.labels(
            frames.label_events(), frames.label_rejects("bad_time", Reason.VIDEO_NOT_SAMPLED.value), 102, CONFIG
        ),
        suites.consensus(frames.label_consensus()),
        suites.consensus(frames.label_consensus(0)),
        suites.completeness(frames.label_completeness(40, 39)),
        suites.completeness(frames.label_completeness()),
        suites.thresholds(frames.threshold_proposals(), CONFIG),
        suites.snapshot(frames.manifest(), 100),
    ],
    ids=[
        "scores",
        "sample",
        "labels",
        "labels_some_refused",
        "consensus",
        "no_consensus",
        "completeness",
        "no_completeness",
        "thresholds",
        "snapshot",
    ],
)
def test_good_frames_pass_everything(judged: list[Judged]):
    outcome = run_gate("g", DAY, judged)
    assert outcome.passed
    assert outcome.failures == outcome.warnings == ()
    assert outcome.results["success"].all()


# ---- contract ----


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_contract_suite_covers_every_rule_of_the_contract(table: Table):
    checks = suites.contract_suite(table)
    bounded = {c.column for c in checks if c.expectation == "ExpectColumnValuesToBeBetween"}
    listed = {c.column for c in checks if c.expectation == "ExpectColumnValuesToBeInSet"}
    limits = [(c.name, c.minimum, c.maximum, c.above) for c in table.columns]
    assert bounded == {name for name, *given in limits if given != [None, None, None]}
    assert listed == {c.name for c in table.columns if c.allowed}
    assert suites.unique(table.key) in checks


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (put("p_violating", 1.7), ("column p_violating", "1 of 50 rows", "p_violating=1.7", "video_id=0")),
        (put("p_violating", float("nan"), 3), ("column p_violating, votes", "1 of 50 rows", "video_id=3")),
        (put("policy", None), ("1 of 50 rows", "null_columns=policy")),
        (put("unsure", -1), ("column unsure", "1 of 50 rows", "unsure=-1")),
        (put("status", "done"), ("column status", "1 of 50 rows", "status=done")),
        (again, ("column video_id, policy", "2 of 51 rows", "video_id=0, policy=fraud")),
        (without("method"), ("missing method",)),
        (put("p_violating", "high", slice(None)), ("column p_violating", "could not be judged")),
        (put("votes", 0, 7), ("column votes, unsure", "1 of 50 rows", "answers=0", "video_id=7")),
    ],
)
def test_consensus(broken: Break, words: tuple[str, ...]):
    outcome = run_gate("consensus", DAY, suites.consensus(broken(frames.label_consensus())))
    one_failure(outcome.failures, "label_consensus", *words)


def test_all_required_columns_that_are_null_are_named():
    rows = put("status", None)(put("policy", None)(frames.label_consensus()))
    outcome = run_gate("consensus", DAY, suites.consensus(rows))
    some_failure(outcome.failures, "null_columns=policy, status")


# ---- scores ----


@pytest.mark.parametrize(
    ("column", "count", "name"),
    [
        ("out_of_range_scores", 9, "column score"),
        ("negative_views", 9, "column views"),
        ("duplicate_keys", 9, "column video_id, policy, model_version"),
        ("null_keys", 9, "column video_id, policy, model_version, market"),
    ],
)
def test_invalid_rows_are_critical_above_the_tolerance_and_a_warning_below(column: str, count: int, name: str):
    critical = scores(put(column, count)(frames.profile()))
    some_failure(critical.failures, "video_scores", name, "1 of 12 cells", f"cell={FIRST}", f"{column}={count}")
    below = scores(put(column, 1)(frames.profile(20_000)), frames.profile(20_000))
    assert below.passed
    some_failure(below.warnings, "video_scores", name, f"{column}=1", "n_rows=20000")
    by_chance = scores(put(column, 3)(frames.profile()))
    assert by_chance.passed, "a share of 0.0001 of 10,000 rows is 3 or more in 8 of 100 cells"
    some_failure(by_chance.warnings, "video_scores", name, f"{column}=3", "n_rows=10000")


def test_duplicates_are_a_share_of_the_keys_that_were_checked():
    profile = put("duplicate_keys", 10)(frames.profile(30_000))
    assert scores(profile, frames.profile(30_000)).passed
    assert not scores(put("checked_share", 0.25)(profile), frames.profile(30_000)).passed


def test_null_scores():
    at_limit = int(10_000 * CONFIG.gates.max_null_score_share)
    assert scores(put("null_scores", at_limit + 100)(frames.profile())).passed, "chance does that, with 12 cells"
    outcome = scores(put("null_scores", at_limit + 250)(frames.profile()))
    one_failure(outcome.failures, "column score", "1 of 12 cells", FIRST, f"null_scores={at_limit + 250}")


def test_an_empty_day_is_critical():
    outcome = scores(frames.profile().head(0))
    some_failure(outcome.failures, "video_scores", "n_rows", "1 of 1 days", "n_rows=0")
    some_failure(outcome.failures, "12 of 12 cells", "volume_ratio=0")
    one_failure(scores(frames.profile().head(0), frames.profile().head(0)).failures, "n_rows=0")


def test_volume_against_the_trailing_week():
    # The median of 10,000, 10,100 ... 10,600 is 10,300.
    assert scores(put("n_rows", 5_000)(frames.profile())).passed, "chance makes 5,000 of 5,150, with 12 cells"
    low = scores(put("n_rows", 4_800)(frames.profile()))
    one_failure(low.failures, "column n_rows", "1 of 12 cells", f"cell={FIRST}", "n_rows=4800", "usual_rows=10300")
    some = scores(put("n_rows", 20_900)(frames.profile()))
    assert (some.passed, some.warnings) == (True, ())
    high = scores(put("n_rows", 21_300)(frames.profile()))
    assert high.passed
    one_failure(high.warnings, "column n_rows", "1 of 12 cells", "n_rows=21300", "at most 2 times")


def test_thousands_of_small_cells_do_not_stop_a_day_by_chance():
    """At 20 rows a cell some hundred have half their median or less, each day. One that lost all of many is found."""
    markets = {f"M{number}": next(iter(CONFIG.markets.values())) for number in range(3_000)}
    config = CONFIG.model_copy(update={"markets": markets})
    rng, one = np.random.default_rng(11), frames.profile().query("market == 'BR'")
    cells = pd.concat([one.assign(market=market) for market in markets], ignore_index=True)
    assert len(cells) == 12_000

    def day() -> pd.DataFrame:
        rows = rng.poisson(20, len(cells))
        return cells.assign(n_rows=rows, null_scores=rng.binomial(rows, 0.05))

    history, today = pd.concat([day() for _ in range(7)], ignore_index=True), day()
    usual = history.groupby(list(CELL), sort=False)["n_rows"].median().to_numpy()
    assert (today["n_rows"] < CONFIG.gates.min_volume_ratio * usual).sum() > 50, "what a bare limit stops"

    def judged(profile: pd.DataFrame) -> GateOutcome:
        found = suites.scores(profile, history, config)
        return run_gate("scores", DAY, [part for part in found if part.table == "video_scores"])

    assert judged(today).passed
    history = pd.concat([history, *[today.head(1).assign(n_rows=400)] * 7], ignore_index=True)
    today = today.assign(n_rows=today["n_rows"].where(today.index > 0, 20))
    lost = judged(today)
    assert lost.passed, "one cell of so many is set aside"
    one_failure(lost.warnings, "column n_rows", "1 of 12,000 cells", "n_rows=20", "violence/M0")
    reasons = suites.set_aside(today, history, config)
    assert list(reasons.dropna().index) == [0]
    assert reasons[0] == "rows 0.093 times the usual"
    many = today.assign(null_scores=today["n_rows"].where(today.index < 1_200, today["null_scores"]))
    assert not judged(many).passed, "one in ten cells is more than may be set aside"
    assert suites.set_aside(many, history, config).isna().all()


def test_a_vanished_cell_is_critical_unless_it_is_no_longer_configured():
    outcome = scores(frames.profile().iloc[1:])
    one_failure(outcome.failures, "column n_rows", "1 of 12 cells", "volume_ratio=0", f"cell={FIRST}")
    retired = pd.concat([frames.history(), frames.profile().head(1).assign(model_version="violence-v2")])
    assert scores(frames.profile(), retired).passed


def test_without_history_volume_is_not_applicable_and_says_so():
    outcome = scores(frames.profile(), frames.profile().head(0))
    assert outcome.passed
    volume = outcome.results[outcome.results["expectation"].str.contains("trailing week")]
    assert len(volume) == 2
    assert volume["observed"].str.contains("not applicable: no score_profile of the cell in the trailing week").all()
    new_cell = scores(frames.profile(), frames.history().query("market != 'BR'"))
    assert new_cell.passed
    assert new_cell.results["observed"].str.contains("holds for 8 cells; not applicable to 4").any()


@pytest.mark.parametrize(
    ("column", "value"), [("policy", "gambling"), ("market", "FR"), ("model_version", "violence-v9")]
)
def test_unknown_cells(column: str, value: str):
    extra = frames.profile().head(1).assign(**{column: value})
    outcome = scores(pd.concat([frames.profile(), extra], ignore_index=True))
    one_failure(outcome.failures, "video_scores", f"column {column}", "1 of 13 cells", f"={value}")


def test_a_model_version_of_another_policy_is_unknown():
    extra = frames.profile().head(1).assign(model_version="fraud-v3")
    outcome = scores(pd.concat([frames.profile(), extra], ignore_index=True))
    one_failure(outcome.failures, "column model_version", "fraud-v3")


@pytest.mark.parametrize("policy", [None, "", "(none)"])
def test_rows_without_a_policy_are_judged_by_their_share_of_the_day(policy: str | None):
    keyless = frames.profile().head(1).assign(policy=policy, n_rows=5, null_keys=5, null_scores=0)
    few = scores(pd.concat([frames.profile(), keyless], ignore_index=True))
    assert few.passed
    one_failure(few.warnings, "video_scores", "column video_id, policy, model_version, market", "null_keys=5")
    many = scores(pd.concat([frames.profile(), keyless.assign(n_rows=50, null_keys=50)], ignore_index=True))
    one_failure(many.failures, "null_keys=50", "n_rows=120050")


# ---- sample ----


BROKEN_ROWS = [
    ("inclusion_probability", 0.0, ("inclusion_probability", "is above 0", "2 of", "inclusion_probability=0,")),
    ("inclusion_probability", 1.2, ("inclusion_probability", "at most 1", "2 of", "inclusion_probability=1.2")),
    ("inclusion_probability", 0.5, ("inclusion_probability", "that of their union", "union_difference=0.49")),
    ("inclusion_probability", None, ("inclusion_probability", "that of their union", "union_difference=-0.0")),
    ("programme_probability", 0.5, ("programme_probability", "is its stratum's", "1 of", "pi_difference=0.49")),
    ("permanent_random", 0.999, ("permanent_random is below", "1 of", "permanent_random=0.999", "sample_id=")),
    ("score", 0.999, ("column score", "lies in its stratum", "score=0.999", "1 of")),
    ("stratum", "elsewhere", ("column stratum", "4 of", "unknown_stratum=elsewhere")),
    ("design_id", "d2", ("column stratum", "under its design_id", "4 of")),
    ("policy", "gambling", ("column stratum", "4 of", "policy=gambling")),
    ("region", "delete", ("column region", "1 of", "region=delete")),
    ("views", -3, ("column views", "views=-3", "1 of")),
    ("sample_id", "same", ("column sample_id", "2 of", "sample_id=same")),
]


@pytest.fixture(scope="module")
def broken_sample() -> GateOutcome:
    """The gate over a sample in which each of BROKEN_ROWS is another row, and two rows have sample_id "same"."""
    drawn = frames.review_sample()
    for row, (column, value, _) in enumerate(BROKEN_ROWS):
        drawn = put(column, value, row)(drawn)
    return sample(put("market", "FR", len(BROKEN_ROWS))(put("sample_id", "same", -1)(drawn)))


@pytest.mark.parametrize("words", [words for _, _, words in BROKEN_ROWS])
def test_sample_rows(broken_sample: GateOutcome, words: tuple[str, ...]):
    some_failure(broken_sample.failures, "review_sample", *words)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (again, ("column programme, video_id, policy, model_version", "2 of")),
        (without("permanent_random"), ("missing permanent_random",)),
        (put("score", "high", slice(None)), ("column score", "could not be judged")),
    ],
)
def test_sample_as_a_whole(broken: Break, words: tuple[str, ...]):
    some_failure(sample(broken(frames.review_sample())).failures, "review_sample", *words)


def test_sample_size_is_judged_by_market_and_overall():
    drawn = frames.review_sample()
    twice = pd.concat([drawn, drawn.assign(sample_id=drawn["sample_id"] + "b", video_id=drawn["video_id"] + 10**9)])
    outcome = sample(twice)
    one_failure(outcome.failures, "review_sample", "4 of 4 totals", "deviation=", "total=audit/BR", "expected=168")
    lost_market = sample(drawn[drawn["market"] != "DE"])
    one_failure(lost_market.failures, "1 of 4 totals", "total=audit/DE", "drawn=0")


def test_sample_sizes_add_up_by_sd_where_they_share_numbers_and_else_by_variance():
    """Independent count: a market's cells, each with variance sum N pi (1 - pi); fraud has two versions."""
    cell = sum(n * pi * (1 - pi) for _, _, _, n, pi in frames.STRATA)
    expected = sum(n * pi for _, _, _, n, pi in frames.STRATA)
    sizes = suites._sizes(frames.review_sample(), frames.design()).set_index("total")
    assert sizes.loc["audit/DE", "variance"] == pytest.approx(2 * cell + 4 * cell)
    assert sizes.loc["all", "variance"] == pytest.approx(3 * 6 * cell)
    old = suites._sizes(frames.review_sample(), frames.design().assign(numbering=None)).set_index("total")
    drawn = (frames.review_sample()["market"] == "DE").sum()
    assert old.loc["audit/DE", "deviation"] == pytest.approx((drawn - 4 * expected) / (4 * np.sqrt(cell)))
    total = (len(frames.review_sample()) - 12 * expected) / (4 * np.sqrt(3 * cell))
    assert old.loc["all", "deviation"] == pytest.approx(total)


def test_chance_alone_hardly_ever_stops_a_small_sample_and_a_gap_in_a_large_one_does():
    """The share of Poisson samples beyond 5 deviations, against Bennett's bound and against plain SDs."""
    one = np.ones(1)
    limit = 2 * np.exp(-(5.0**2) / 2)
    for mean in (0.02, 0.5, 7.0, 400.0):
        counts = np.arange(0, int(mean + 40 * np.sqrt(mean) + 40), dtype=float)
        variance = np.full(len(counts), mean)
        beyond = np.abs(suites._normal_deviations(counts - mean, variance, np.ones(len(counts)))) > 5
        assert stats.poisson.pmf(counts[beyond], mean).sum() < limit
    assert stats.poisson.sf(1, 0.02) > 10 * limit, "two draws of .02 expected are more than 5 plain SDs, and no fault"
    assert suites._normal_deviations(199 - 7 * one, 7 * one, 2 * one) > 5
    assert suites._normal_deviations(-7 * one, 7 * one, one) > -5
    assert suites._normal_deviations(-100 * one, 100 * one, one) < -5
    tiny = suites._normal_deviations(3e-6 * np.array([-1.0, 1.0]), np.ones(2), np.array([1.0, 0.0]))
    assert tiny == pytest.approx([-3e-6, 3e-6], rel=1e-5)
    assert suites._normal_deviations(np.array([0.0, 1.0]), np.zeros(2), np.ones(2)).tolist() == [0.0, np.inf]


def test_a_stratum_drawn_with_certainty_must_be_complete():
    design = frames.design()
    every = design["stratum"] == "action"
    design = design[every & (design["policy"] == "violence")].assign(population=20, inclusion_probability=1.0)
    drawn = frames.review_sample()
    drawn = drawn[(drawn["stratum"] == "action") & (drawn["policy"] == "violence")].assign(
        programme_probability=1.0, inclusion_probability=1.0
    )
    drawn = drawn.groupby("market").head(10)
    design["population"] = 10
    assert sample(drawn, design).passed
    one_failure(sample(drawn.iloc[1:], design).failures, "deviation=-inf")


def _by_views(views: list[int], per_view: float, *, drawn: list[bool]) -> GateOutcome:
    """The gate over the frames' audit, and a prevalence stratum of fraud-v2 in BR over bins 100 to 199."""
    design, audit = frames.design(), frames.review_sample()
    stratum = design[(design["stratum"] == "allow") & (design["model_version"] == "fraud-v2")].head(1)
    stratum = stratum.assign(programme="prevalence", stratum="p", first_bin=100, last_bin=199, population=len(views))
    stratum = stratum.assign(population_views=sum(views), probability_per_view=per_view, expected_labels=1.0)
    stratum = stratum.assign(inclusion_probability=None, expected_minutes=1.0).astype({"inclusion_probability": float})
    rows = audit.head(1).loc[[0] * len(views)].reset_index(drop=True).assign(programme="prevalence", stratum="p")
    rows = rows.assign(video_id=range(len(views)), sample_id=[f"p{i}" for i in range(len(views))], views=views)
    chance = np.minimum(1.0, per_view * np.array(views))
    rows = rows.assign(score=0.15, permanent_random=0.0, programme_probability=chance)
    rows["inclusion_probability"] = 0.002 + chance - 0.002 * chance  # the audit draws .002 of what is allowed
    inside = (audit["model_version"] == "fraud-v2") & audit["market"].eq("BR") & audit["score"].between(0.1, 0.2)
    rows = rows[np.array(drawn)].assign(**{name: stratum[name].iloc[0] for name in CELL})
    return sample(pd.concat([audit[~inside], rows], ignore_index=True), pd.concat([design, stratum], ignore_index=True))


def test_draws_by_views_are_held_against_their_views():
    views = [100_000, 2_000, *[10] * 1_000]  # the first two are sure, of the others five are expected
    five = [True, True, *[i % 200 == 0 for i in range(1_000)]]
    assert _by_views(views, 0.0005, drawn=five).passed
    unexpected = [True, True, *[i % 20 == 0 for i in range(1_000)]]
    some_failure(_by_views(views, 0.0005, drawn=unexpected).failures, "total=prevalence/BR", "drawn=52", "expected=7")
    some_failure(_by_views(views, 0.0005, drawn=[False, False, *five[2:]]).failures, "total=prevalence/BR", "drawn=5")


def test_only_draws_that_estimates_may_rest_on_have_an_inclusion_probability():
    design = frames.design()
    golden = design.head(1).assign(programme="golden", stratum="golden", first_bin=-1, last_bin=999, population=1)
    golden = golden.assign(inclusion_probability=1.0, expected_labels=1.0, expected_minutes=1.0)
    drawn = frames.review_sample()
    asked = drawn.head(1).assign(programme="golden", stratum="golden", sample_id="g", programme_probability=1.0)
    asked = asked.assign(**{name: golden[name].iloc[0] for name in CELL})
    both = pd.concat([design, golden], ignore_index=True)
    right = pd.concat([drawn, asked.assign(inclusion_probability=np.nan)], ignore_index=True)
    assert sample(right, both).passed
    wrong = pd.concat([drawn, asked.assign(inclusion_probability=1.0)], ignore_index=True)
    one_failure(sample(wrong, both).failures, "only draws by audit or prevalence have an inclusion_probability", "1 of")


def test_design():
    some_failure(sample(frames.review_sample(), frames.design().head(0)).failures, "sampling_design", "0 rows")
    costly = put("expected_minutes", 10_000.0)(frames.design())
    one_failure(
        sample(frames.review_sample(), costly).failures,
        "sampling_design",
        "column expected_minutes",
        "1 of 3 markets",
        "market=BR",
        f"budget={frames.CONFIG.markets['BR'].reviewer_minutes * frames.CONFIG.sampling.minutes_share:.0f}",
    )
    unknown = frames.design().assign(market=lambda d: d["market"].replace("DE", "FR"))
    some_failure(sample(frames.review_sample(), unknown).failures, "sampling_design", "market=FR")


# ---- labels ----


def test_a_region_that_nobody_answered_is_named():
    outcome = run_gate("consensus", DAY, suites.completeness(frames.label_completeness(40, 0)))
    assert outcome.passed
    one_failure(outcome.warnings, "label_completeness", "1 of 2 regions", "region=review", "drawn=40")


def test_a_garbage_file_is_named_and_the_others_pass():
    events = frames.label_events(30)
    garbage = frames.label_rejects(*["bad"] * 19, "mostly_garbage")
    outcome = labels(events, garbage)
    assert outcome.passed
    one_failure(outcome.warnings, "1 of 2 files", "source_file=b.jsonl", "garbage=20 refused, mostly b.jsonl:1 bad")
    assert labels(events, frames.label_rejects(*["bad"] * 7)).warnings == ()  # too short a file to be called garbage
    unsampled = labels(events, frames.label_rejects(*[Reason.VIDEO_NOT_SAMPLED.value] * 20))
    assert unsampled.passed
    one_failure(unsampled.warnings, Reason.VIDEO_NOT_SAMPLED.value)


def test_garbage_alone_stops_the_day():
    outcome = labels(frames.label_events(0), frames.label_rejects(*["bad"] * 20))
    one_failure(outcome.failures, "files that are mostly garbage are not all there is", "read=20", "files_aside=1")


def test_a_damaged_file_is_named():
    damaged = frames.label_rejects("unreadable_file").assign(source_line=0, detail="cut.parquet: truncated")
    outcome = labels(frames.label_events(), damaged)
    assert outcome.passed
    one_failure(outcome.warnings, "source_file=b.jsonl", "damage=unreadable_file, cut.parquet: truncated")


def test_conflicting_ids_are_refused_but_make_no_garbage():
    outcome = labels(frames.label_events(30), frames.label_rejects(*["conflicting_event"] * 20))
    assert outcome.warnings == ()
    one_failure(outcome.failures, "judged_refused=20", "judged=50")


def test_a_file_sent_twice_is_no_fault():
    outcome = labels(frames.label_events(30), frames.label_rejects(*[suites.HARMLESS[0]] * 30))
    assert outcome.passed
    assert outcome.warnings == ()


def test_reject_rate():
    events = frames.label_events(80)
    assert labels(events, spread("bad", 20)).passed
    outcome = labels(events, spread("bad", 21))
    one_failure(outcome.failures, "judged_refused=21", "judged=101", "b00.jsonl:1 bad, decision: maybe")


def test_labels_for_videos_never_sampled():
    events = frames.label_events(95)
    assert labels(events, frames.label_rejects(*[Reason.VIDEO_NOT_SAMPLED.value] * 5)).passed
    outcome = labels(events, frames.label_rejects("bad", *[Reason.VIDEO_NOT_SAMPLED.value] * 6))
    one_failure(
        outcome.failures,
        "column video_id",
        "unsampled=6",
        f"unsampled_example=b.jsonl:2 {Reason.VIDEO_NOT_SAMPLED.value}",
    )


def test_every_event_is_accounted_for():
    outcome = labels(frames.label_events(), frames.label_rejects(), 103)
    one_failure(outcome.failures, "reviewer_labels", "unaccounted=3", "read=103", "accepted=100")


def test_a_day_without_labels_is_a_warning():
    outcome = labels(frames.label_events(0), frames.label_rejects())
    assert outcome.passed
    one_failure(outcome.warnings, "reviewer_labels", "at least one label event")
    assert (outcome.results["observed"].str.contains("not applicable: no label events that day")).sum() == 2


def test_label_events_keep_the_contract():
    outcome = labels(put("decision", "maybe")(frames.label_events()), frames.label_rejects())
    one_failure(outcome.failures, "label_events", "decision=maybe", "event_id=e0", "source_line=1")


# ---- thresholds ----


BROKEN_PROPOSALS = [
    (0, "proposed_review_at", 0.96, ("proposed_review_at is at most", "2 of 12 rows", "proposed_review_at=0.96")),
    (2, "proposed_remove_at", 0.4, ("lowest_remove_at", "1 of 12 rows", "proposed_remove_at=0.4")),
    (4, "proposed_review_at", 0.01, ("lowest_review_at", "1 of 12 rows", "proposed_review_at=0.01")),
    (6, "bound", 0.8999, ("bound reaches its target", "1 of 5", "bound=0.8999", "target=0.9")),
    (8, "bound", None, ("null_columns=bound", "1 of 5 certified rows")),
    (10, "n", 0, ("column n", "1 of 5 certified rows", "n=0")),
    (0, "refusal", "too few labels", ("without a certificate is not below the one in force", "1 of 12")),
    (1, "refusal", None, ("a proposed_remove_at or a refusal", "1 of 12", "answers=0")),
    (3, "policy", "gambling", ("every policy is configured", "1 of 12", "policy=gambling")),
    (5, "market", "FR", ("every market is configured", "1 of 12", "market=FR")),
    (7, "proposal_id", "p9", ("column proposal_id", "2 of 12 rows")),
    (9, "status", "done", ("column status", "1 of 12", "status=done")),
    (11, "estimate", 1.2, ("column estimate", "1 of 12", "estimate=1.2")),
]


def propose(proposals: pd.DataFrame) -> GateOutcome:
    return run_gate("thresholds", DAY, suites.thresholds(proposals, CONFIG))


@pytest.fixture(scope="module")
def broken_proposals() -> GateOutcome:
    proposals = frames.threshold_proposals()
    for row, column, value, _ in BROKEN_PROPOSALS:
        proposals = put(column, value, row)(proposals)
    return propose(proposals)


@pytest.mark.parametrize("words", [words for *_, words in BROKEN_PROPOSALS])
def test_thresholds(broken_proposals: GateOutcome, words: tuple[str, ...]):
    some_failure(broken_proposals.failures, "threshold_proposals", *words)


@pytest.mark.parametrize("remove_at", [0.98, 0.99, 1.0])
def test_without_a_certificate_remove_at_may_stay_or_rise(remove_at: float):
    proposals = frames.threshold_proposals()
    columns = ["refusal", "proposed_remove_at", "bound", "method"]
    proposals.loc[0, columns] = ["nothing certified", remove_at, None, None]
    assert not propose(proposals).failures


def test_thresholds_as_a_whole():
    one_failure(propose(frames.threshold_proposals().drop(columns="bound")).failures[:1], "missing bound")
    some_failure(propose(frames.threshold_proposals().head(0)).failures, "threshold_proposals", "0 rows")


# ---- snapshot ----


def in_profile(**values: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["profile"].update(values)


def in_group(split: str, **values: float) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        for group in manifest["profile"]["groups"]:
            if group["split"] == split:
                group.update(values)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (in_profile(rows=99), ("rows=99", "at least 100 rows")),
        (in_profile(label_age_days=60), ("column label_age_days", "label_age_days=60")),
        (in_profile(weights=[0.5, 9.0]), ("column least_weight", "least_weight=0.5")),
        (in_profile(weights=[1.0, float("inf")]), ("column most_weight", "most_weight=inf")),
        (in_profile(misplaced=2), ("column misplaced", "none is in two")),
        (in_profile(golden_outside_test=3), ("column golden_outside_test", "no golden item")),
        (in_profile(out_of_range=1), ("column out_of_range",)),
        (in_group("train", unweighted=7.0), ("column wrongly_weighted", "wrongly_weighted=2")),
        (in_group("train", positive=3.0), ("column positive", "split=train", "positive=3")),
        (in_group("test", positive=100.0), ("column negative", "split=test", "negative=0")),
        (in_group("train", rows=29.0, positive=21.0, unweighted=5.0), ("column negative", "split=train")),
    ],
)
def test_snapshot(change: Callable[[dict[str, Any]], None], words: tuple[str, ...]):
    manifest = frames.manifest()
    assert not run_gate("snapshot", DAY, suites.snapshot(manifest, 100)).failures
    change(manifest)
    found = run_gate("snapshot", DAY, suites.snapshot(manifest, 100)).failures
    one_failure(found, "training_snapshots", *words)


def test_picks_never_enter_the_test_set():
    manifest = frames.manifest()
    in_group("test", picked=2.0, unweighted=2.0)(manifest)
    one_failure(run_gate("snapshot", DAY, suites.snapshot(manifest, 100)).failures, "picked_in_test=2")


def test_checks_name_existing_expectations():
    from great_expectations import expectations

    judged = suites.scores(frames.profile(), frames.history(), CONFIG)
    checks: list[Check] = [check for part in judged for check in part.checks]
    assert all(hasattr(expectations, check.expectation) for check in checks)
