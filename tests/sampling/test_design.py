"""The design: its published oracle, and what must hold of any design whatever the platform looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.config.load import load_config
from include.config.model import Config
from include.contract.tables import CELL, TABLES
from include.ledger.in_force import thresholds_before
from include.sampling.allocation import TOLERANCE, Search, inclusion_probabilities, neyman, share_out
from include.sampling.design import ROUNDS, design
from tests.history import History

NO_CURVE = pd.DataFrame({name: [] for name in (*CELL, "bin", "p_violating")})
CELLS = [
    ("fraud", "BR", "fraud-v2"),
    ("fraud", "BR", "fraud-v3"),
    ("fraud", "DE", "fraud-v3"),
    ("pornography", "BR", "pornography-v5"),
    ("violence", "BR", "violence-v3"),
    ("violence", "DE", "violence-v3"),
]


ALONE = {"audit": 1.0, "prevalence": 0.0, "golden": 0.0, "training": 0.0}
ALL = {"audit": 0.5, "prevalence": 0.4, "golden": 0.0, "training": 0.1}


def config(programmes: dict[str, float] = ALONE, /, **markets: float) -> Config:
    """The shipped policies and markets with these reviewer minutes, default BR 900, DE 600, of which 60 % sampling."""
    raw = load_config().model_dump()
    raw["sampling"] |= {"minutes_share": 0.6, "remove_share": 0.2, "allow_share": 0.2, "defensive_share": 0.2}
    raw["sampling"]["programmes"] = programmes
    for market, minutes in {"BR": 900, "DE": 600, **markets}.items():
        raw["markets"][market]["reviewer_minutes"] = minutes
    return Config.model_validate(raw)


def histogram(cells, videos, *, views: int = 10, unscored: int = 0) -> pd.DataFrame:
    """The same `videos` per bin, shape (1000,), in every cell; bins without videos have no row."""
    counts = np.append(unscored, np.asarray(videos)).astype(int)
    kept = np.flatnonzero(counts)
    one = pd.DataFrame({"bin": kept - 1, "n_videos": counts[kept], "n_views": counts[kept] * views})
    return pd.concat([one.assign(**dict(zip(CELL, cell, strict=True))) for cell in cells], ignore_index=True)


def thresholds(cells, remove_at: float = 0.9, review_at: float = 0.6) -> pd.DataFrame:
    return pd.DataFrame(cells, columns=list(CELL)).assign(remove_at=remove_at, review_at=review_at)


def curve(cells, p) -> pd.DataFrame:
    one = pd.DataFrame({"bin": np.arange(-1, 1000), "p_violating": np.append(np.mean(p), p)})
    return pd.concat([one.assign(**dict(zip(CELL, cell, strict=True))) for cell in cells], ignore_index=True)


FALLING = np.round(20_000 * np.exp(-np.arange(1000) / 80)) + 5


def test_neyman_reproduces_the_published_violative_view_rate_design():
    """Barnett, YouTube's Violative View Rate Methodology (MIT, September 2021), tables 2A and 2B."""
    weight = np.array([0.8, 0.1, 0.05, 0.01, 0.04])
    p = np.array([0.0005, 0.005, 0.01, 0.05, 0.0025])
    deviation = np.sqrt(p * (1 - p))
    labels = neyman(weight, deviation, np.ones(5), 4000)
    assert np.rint(labels).tolist() == [2098, 828, 584, 256, 234]
    assert 100 * weight @ p == pytest.approx(0.2)
    assert 100 * np.sqrt(np.sum(weight**2 * p * (1 - p) / labels)) == pytest.approx(0.0539, abs=5e-5)


def test_neyman_with_cost_beats_any_other_split_of_the_same_money():
    population, deviation = np.array([900.0, 90.0, 10.0]), np.array([0.05, 0.2, 0.5])
    cost = np.array([1.0, 2.0, 5.0])
    best = neyman(population, deviation, cost, 100)
    assert cost @ best == pytest.approx(100)

    def variance(labels):
        return np.sum(population**2 * deviation**2 / labels)

    random = np.random.default_rng(1)
    for shares in random.dirichlet(np.ones(3), 200):
        assert variance(100 * shares / cost) >= variance(best)
    with pytest.raises(ValueError, match="no stratum"):
        neyman(population, np.zeros(3), cost, 100)


positive = st.floats(1e-3, 1e4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(positive, positive, st.floats(0, 1)), min_size=1, max_size=8), st.floats(1e-3, 1e5))
def test_inclusion_probabilities_meet_the_labels_and_keep_floors(strata, labels):
    population, base, floor = np.array(strata).T
    pi = inclusion_probabilities(population, base, floor, labels)
    assert ((pi >= 0) & (pi <= 1)).all()
    assert population @ pi <= labels * (1 + 1e-9)
    assert population @ pi == pytest.approx(min(labels, population.sum()), rel=1e-6)
    if population @ floor <= labels:
        assert (pi >= floor * (1 - 1e-12)).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=8), positive)
def test_shares_are_max_min_fair(claims, budget):
    wanted, weight = np.array(claims).T
    shares = share_out(wanted, weight, budget)
    assert shares.sum() <= budget * (1 + 1e-12)
    assert shares.sum() == pytest.approx(min(budget, wanted.sum()), rel=1e-9)
    unmet = shares < wanted * (1 - 1e-9)
    if unmet.any():  # whoever gets less than wanted gets as much per weight as anyone
        assert (shares / weight)[unmet] == pytest.approx((shares / weight).max(), rel=1e-6)


@settings(max_examples=200, deadline=None)
@given(st.floats(1, 1e5), st.floats(0.01, 2.0), st.floats(1.0, 4.0))
def test_a_search_fills_a_goal_from_below_in_a_few_tries(videos, wanted, enough):
    """Questions of so many draws among so many videos, as if each draw hit any of them."""
    goal = wanted * videos
    search, best = Search(goal, most=enough * videos * 3, all_of_it=False), 0.0
    for _ in range(ROUNDS):
        found = videos * -np.expm1(-search.at / videos)
        if search.found(found):
            best = found
        if search.ended:
            break
    reachable = min(goal, videos * -np.expm1(-enough * 3))
    assert search.ended
    assert (1 - TOLERANCE) * reachable * (1 - 1e-9) <= best <= goal * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(CELLS), min_size=1, unique=True),
    st.lists(
        st.tuples(st.integers(-1, 999), st.integers(1, 100_000)), min_size=1, max_size=60, unique_by=lambda x: x[0]
    ),
    st.tuples(st.integers(0, 1000), st.integers(0, 1000)).map(lambda at: sorted(part / 1000 for part in at)),
    st.floats(0.1, 1e5),
    st.sampled_from([None, 0.0, 0.5, 1.0]),
    st.sampled_from([ALONE, ALL]),
)
def test_every_design_is_sound(cells, bins, limits, minutes, p, programmes):  # noqa: PLR0917
    counts = dict(bins)
    videos = np.array([counts.get(b, 0) for b in range(1000)])
    population = histogram(cells, videos, unscored=counts.get(-1, 0))
    known = NO_CURVE if p is None else curve(cells, np.full(1000, p))
    settings_ = config(programmes, BR=minutes, DE=minutes)
    review_at, remove_at = limits
    rows = design(population, thresholds(cells, remove_at, review_at), known, settings_)

    assert list(rows.columns) == list(TABLES["sampling_design"].column_names)
    assert not rows.duplicated(list(TABLES["sampling_design"].key)).any()
    assert rows.groupby("market")["expected_minutes"].sum().max() <= minutes * 0.6 * (1 + 1e-9)
    minutes_each = rows["policy"].map(lambda name: settings_.policies[name].minutes_per_label)
    assert rows["expected_minutes"].to_numpy() == pytest.approx((rows["expected_labels"] * minutes_each).to_numpy())
    by_views = rows["programme"] == "prevalence"
    equal = rows[~by_views]
    assert equal["inclusion_probability"].between(0, 1, inclusive="right").all()
    assert (equal["population"] * equal["inclusion_probability"]).tolist() == pytest.approx(
        equal["expected_labels"].tolist()
    )
    assert rows[by_views]["probability_per_view"].between(0, 1, inclusive="right").all()
    assert (rows["inclusion_probability"].isna() == by_views).all()
    assert (rows["probability_per_view"].isna() == ~by_views).all()
    for (programme, *cell), strata in rows.groupby(["programme", *CELL]):
        of_cell = population[(population[list(CELL)] == cell).all(axis=1)]
        covering = [int(((strata["first_bin"] <= b) & (b <= strata["last_bin"])).sum()) for b in of_cell["bin"]]
        assert set(covering) <= {0, 1}
        low, high = strata["first_bin"] / 1000, (strata["last_bin"] + 1) / 1000
        region = strata["region"]
        assert (region[strata["first_bin"] < 0] == "no_score").all()
        assert (low[region == "remove"] >= remove_at).all()
        assert (low[region == "review"] >= review_at).all()
        assert (high[region == "review"] < remove_at + 1e-3).all()
        assert (high[region == "allow"] < review_at + 1e-3).all()
        if programme == "audit":
            assert covering == [1] * len(of_cell)
            assert strata["population"].sum() == of_cell["n_videos"].sum()
            assert strata["population_views"].sum() == of_cell["n_views"].sum()
            action = strata[strata["region"].eq("remove") | strata["last_bin"].eq(999)]
            assert action.empty or np.ptp(action["inclusion_probability"]) == 0
        if programme == "prevalence":
            assert strata["last_bin"].max() < 999


def test_whole_budget_is_used_and_shared_fairly():
    rows = design(histogram(CELLS, FALLING), thresholds(CELLS), NO_CURVE, config())
    minutes = rows.groupby(["market", "policy", "model_version"])["expected_minutes"].sum()
    assert minutes["BR"].sum() == pytest.approx(540)
    assert minutes["DE"].sum() == pytest.approx(360)
    assert minutes["BR"].groupby("policy").sum().tolist() == pytest.approx([180, 180, 180])
    assert minutes["BR", "fraud"].tolist() == pytest.approx([90, 90])  # its two model versions


def test_what_a_small_policy_cannot_use_goes_to_the_others():
    small, large = ("pornography", "BR", "pornography-v5"), ("violence", "BR", "violence-v3")
    population = pd.concat([histogram([small], np.eye(1000)[3] * 20), histogram([large], FALLING)])
    rows = design(population, thresholds([small, large]), NO_CURVE, config())
    minutes = rows.groupby("policy")["expected_minutes"].sum()
    assert minutes["pornography"] == pytest.approx(20)
    assert minutes["violence"] == pytest.approx(520)
    assert rows.loc[rows["policy"] == "pornography", "reason"].tolist() == ["every video"]


def test_candidate_region_reaches_down_to_where_the_target_may_hold():
    cell = CELLS[-2]
    p = np.where(np.arange(1000) >= 700, 0.97, 0.01)  # the target .95 holds from .7 on; in force is .9
    rows = design(histogram([cell], FALLING), thresholds([cell]), curve([cell], p), config())
    action = rows[rows["last_bin"] >= 700]
    assert np.ptp(action["inclusion_probability"]) == 0
    assert action["region"].tolist() == ["review", "remove"]
    assert action["first_bin"].min() < 700
    below = rows[rows["last_bin"] < action["first_bin"].min()]
    assert below["inclusion_probability"].max() < action["inclusion_probability"].min()
    assert action["expected_labels"].sum() >= 0.45 * rows["expected_labels"].sum() * (1 - 1e-9)


def test_candidate_region_follows_a_threshold_that_turned_out_too_low():
    cell = CELLS[-2]
    p = np.where(np.arange(1000) >= 950, 0.99, 0.2)
    rows = design(histogram([cell], FALLING), thresholds([cell], 0.7, 0.5), curve([cell], p), config())
    action = rows[rows["last_bin"] >= 650]
    assert action["region"].tolist() == ["review", "remove"]
    assert action["first_bin"].min() == 650
    assert np.ptp(action["inclusion_probability"]) == 0


def test_candidate_region_stays_above_the_lowest_remove_at():
    cell = CELLS[-2]
    rows = design(
        histogram([cell], FALLING), thresholds([cell], 0.52, 0.3), curve([cell], np.full(1000, 0.99)), config()
    )
    action = rows[rows["reason"].str.contains("candidate action region")]
    assert action["first_bin"].min() == 500


def test_shares_and_floors_are_kept():
    cell = CELLS[-2]
    flat = np.full(1000, 500)
    p = np.where(np.arange(1000) >= 600, 0.96, 1e-4)
    rows = design(histogram([cell], flat, unscored=500), thresholds([cell], 0.7), curve([cell], p), config())
    share = rows.groupby("region")["expected_labels"].sum() / rows["expected_labels"].sum()
    assert share["remove"] >= 0.2 - 1e-9
    assert share["allow"] >= 0.2 - 1e-9
    assert share["no_score"] >= 0.02 - 1e-9


def test_no_stratum_goes_without_labels():
    cell = CELLS[-2]
    p = np.append(np.full(600, 1e-4), np.full(400, 0.96))
    rows = design(histogram([cell], FALLING, unscored=1), thresholds([cell]), curve([cell], p), config())
    labels = rows["expected_labels"].sum()
    enough = np.minimum(rows["population"], 0.02 * labels) * (1 - 1e-9)
    outside = ~rows["reason"].str.contains("candidate action region")
    assert (rows["expected_labels"] >= enough)[outside].all()
    assert rows.loc[rows["region"] == "no_score", "reason"].tolist() == ["every video"]


def test_part_of_every_probability_ignores_the_scores():
    cell = CELLS[-2]
    p = np.where(np.arange(1000) < 300, 0.0, 0.3)
    rows = design(histogram([cell], FALLING), thresholds([cell]), curve([cell], p), config())
    uniform = rows["expected_labels"].sum() / rows["population"].sum()
    action = rows["reason"].str.contains("candidate action region")
    rest = rows[~action]["expected_labels"].sum() / rows["expected_labels"].sum()
    assert (rows["inclusion_probability"] >= 0.2 * uniform * rest * (1 - 1e-9)).all()


def test_what_the_budget_cannot_afford_is_said():
    cell = CELLS[-2]
    few = design(histogram([cell], FALLING), thresholds([cell]), NO_CURVE, config(BR=2))
    action = few[few["reason"].str.contains("candidate action region")]
    assert action["reason"].str.contains("not afforded: a certificate of this cell alone").all()
    assert action["reason"].str.contains("in 28 days, 45 needed").all()  # .95 ** 45 < .1
    # Hardly anything is removed, so equal probabilities cannot give removed videos a fifth of the labels.
    high = design(histogram([cell], FALLING), thresholds([cell], 0.99), curve([cell], np.full(1000, 0.9)), config())
    assert high["reason"].str.contains("labels of removed videos").any()
    assert (
        not design(histogram([cell], FALLING), thresholds([cell]), NO_CURVE, config())["reason"]
        .str.contains("not afforded: a certificate")
        .any()
    )


def test_minutes_are_split_among_the_programmes():
    rows = design(histogram(CELLS, FALLING, unscored=300), thresholds(CELLS), NO_CURVE, config(ALL))
    minutes = rows.groupby(["market", "programme"])["expected_minutes"].sum()
    assert minutes["BR"].to_dict() == pytest.approx({"audit": 270, "prevalence": 216, "training": 54})
    assert minutes["DE"].to_dict() == pytest.approx({"audit": 180, "prevalence": 144, "training": 36})
    alone = design(histogram(CELLS, FALLING, unscored=300), thresholds(CELLS), NO_CURVE, config())
    assert set(alone["programme"]) == {"audit"}


def test_prevalence_is_by_views_and_deviation_below_the_candidate_region():
    cell = CELLS[-2]
    p = np.where(np.arange(1000) >= 700, 0.97, np.where(np.arange(1000) >= 400, 0.09, 0.0025))
    rows = design(histogram([cell], FALLING, unscored=500), thresholds([cell]), curve([cell], p), config(ALL))
    by_views, audit = (rows[rows["programme"] == name] for name in ("prevalence", "audit"))
    region = audit[audit["reason"].str.contains("candidate action region")]
    assert by_views["last_bin"].max() == region["first_bin"].min() - 1
    assert "no_score" in set(by_views["stratum"])
    low = by_views.loc[by_views["last_bin"].between(0, 399), "probability_per_view"]
    high = by_views.loc[by_views["first_bin"] >= 400, "probability_per_view"]
    deviation = np.sqrt([0.09 * 0.91, 0.0025 * 0.9975])
    views = by_views["population_views"].sum()
    labels = by_views["expected_labels"].sum()
    # A fifth of the labels ignores the scores, the rest goes by the deviation.
    optimal = [value - 0.2 * labels / views for value in (high.iloc[-1], low.iloc[0])]
    assert optimal[0] / optimal[1] == pytest.approx(deviation[0] / deviation[1])
    assert 1 / by_views["probability_per_view"].min() <= views / (0.2 * labels) * (1 + 1e-9)  # the cap of the weights


def test_labels_of_the_action_region_are_a_share_of_all_that_estimates_rest_on():
    cell = CELLS[-2]
    p = np.where(np.arange(1000) >= 600, 0.96, 1e-4)
    rows = design(histogram([cell], np.full(1000, 500)), thresholds([cell], 0.7), curve([cell], p), config(ALL))
    estimating = rows[rows["programme"] != "training"]
    action = rows["reason"].str.contains("candidate action region")
    share = rows[action]["expected_labels"].sum() / estimating["expected_labels"].sum()
    assert share == pytest.approx(5 / 9 * (1 - 0.2), rel=0.01)  # .45, had the audit's share of what is allowed left it
    assert share > 0.4


def test_training_picks_what_the_curve_is_least_sure_of():
    cell = CELLS[-2]
    p = np.where(np.arange(1000) < 500, 0.001, np.where(np.arange(1000) < 900, 0.5, 0.99))
    rows = design(histogram([cell], np.full(1000, 50)), thresholds([cell], 0.9, 0.5), curve([cell], p), config(ALL))
    pi = rows[rows["programme"] == "training"].groupby("region")["inclusion_probability"].mean()
    assert pi["review"] / pi["allow"] == pytest.approx(0.25 / 0.000999, rel=1e-6)
    assert pi["review"] / pi["remove"] == pytest.approx(0.25 / 0.0099, rel=1e-6)


def test_where_minutes_suffice_the_audit_draws_every_video():
    rows = design(histogram(CELLS[-2:], np.eye(1000)[500] * 30), thresholds(CELLS), NO_CURVE, config(ALL))
    assert set(rows["programme"]) == {"audit"}
    assert (rows["inclusion_probability"] == 1).all()


def test_without_views_the_labels_go_to_the_audit():
    cells = CELLS[-2:]
    rows = design(histogram(cells, FALLING, views=0), thresholds(cells), NO_CURVE, config(ALL))
    minutes = rows.groupby(["market", "programme"])["expected_minutes"].sum()
    assert minutes["BR"].to_dict() == pytest.approx({"audit": 486, "training": 54})


def test_a_rate_the_budget_cannot_afford_is_said():
    cell = CELLS[-2]
    few, many = (
        design(histogram([cell], FALLING), thresholds([cell]), curve([cell], np.full(1000, 0.002)), config(ALL, BR=m))
        for m in (5, 5_000)
    )
    for rows, said in ((few, True), (many, False)):
        reasons = rows.loc[rows["programme"] == "prevalence", "reason"]
        assert (reasons.str.contains("not afforded: a violative view rate of this cell alone") == said).all()


def test_order_of_rows_is_irrelevant_and_the_design_names_itself():
    population, limits = histogram(CELLS, FALLING, unscored=40), thresholds(CELLS)
    known = curve(CELLS, np.linspace(0, 1, 1000))
    first = design(population, limits, known, config(ALL))
    shuffled = [frame.sample(frac=1, random_state=3) for frame in (population, limits, known)]
    pd.testing.assert_frame_equal(first, design(shuffled[0], shuffled[1], shuffled[2], config(ALL)))
    assert len(set(first["design_id"])) == 1
    other = design(population, limits, known, config(ALL, BR=901))
    assert other["design_id"].iloc[0] != first["design_id"].iloc[0]


def test_empty_day_has_an_empty_design():
    empty = histogram(CELLS[:1], FALLING).iloc[:0]
    rows = design(empty, thresholds(CELLS), NO_CURVE, config())
    assert rows.empty
    assert list(rows.columns) == list(TABLES["sampling_design"].column_names)


GOOD = histogram(CELLS[-2:], FALLING)


@pytest.mark.parametrize(
    ("population", "limits", "known", "message"),
    [
        (GOOD.drop(columns="n_views"), thresholds(CELLS), NO_CURVE, "histogram: column n_views is missing"),
        (GOOD, thresholds(CELLS[:1]), NO_CURVE, "thresholds: cell violence/BR/violence-v3 of the histogram is missing"),
        (GOOD, thresholds(CELLS, 0.5, 0.6), NO_CURVE, "review_at 0.6 is above remove_at 0.5"),
        (GOOD, thresholds(CELLS, 1.5), NO_CURVE, "thresholds: remove_at 1.5 is not in 0..1"),
        (GOOD.assign(policy="hate"), thresholds(CELLS), NO_CURVE, "policy 'hate' of cell hate/BR/violence-v3"),
        (GOOD[:9].assign(market="FR"), thresholds(CELLS), NO_CURVE, "market .FR. of cell violence/FR"),
        (GOOD.assign(bin=GOOD["bin"] + 1), thresholds(CELLS), NO_CURVE, "histogram: bin 1000 is not in -1..999"),
        (GOOD.assign(n_videos=-1), thresholds(CELLS), NO_CURVE, "histogram: n_videos -1 is not in 0..inf in cell viol"),
        (pd.concat([GOOD, GOOD[:1]]), thresholds(CELLS), NO_CURVE, "bin 0 occurs twice"),
        (GOOD, thresholds(CELLS), curve(CELLS, np.full(1000, np.nan)), "calibration: p_violating nan is not in 0..1"),
    ],
)
def test_bad_input_is_refused_by_name(population, limits, known, message):
    with pytest.raises(ValueError, match=message):
        design(population, limits, known, config())


def test_in_shadow_mode_what_would_be_removed_is_drawn_as_what_is_removed(tmp_path: Path) -> None:
    history = History(tmp_path, "calm", videos_per_day=5_000)
    history.label_day(0)
    project, day = history.project, history.day(0)
    rows = project.warehouse.read("sampling_design", day, day)
    cells = rows[list(CELL)].drop_duplicates()
    assert (thresholds_before(project, day, cells)["remove_at"] == 1).all()
    removed = rows[(rows["region"] == "remove") & (rows["programme"] == "audit")]
    assert (removed["first_bin"] >= 980).all()
    assert removed["expected_labels"].sum() > 0


def test_goals_by_views_have_views_drawn_where_videos_are_removed():
    plain = config(ALL)
    policies = {name: policy.model_copy(update={"goal_weight": "views"}) for name, policy in plain.policies.items()}
    by_views = plain.model_copy(update={"policies": policies})
    counts = histogram(CELLS[-1:], FALLING)
    highest = []
    for chosen in (plain, by_views):
        found = design(counts, thresholds(CELLS[-1:]), NO_CURVE, chosen)
        highest.append(found.loc[found["programme"] == "prevalence", "last_bin"].max())
    assert highest[0] < 900
    assert highest[1] == 999
