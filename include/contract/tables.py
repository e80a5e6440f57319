"""Every table Plumbline reads or writes, declared once.

BigQuery's tables, Parquet schemas, row gates and `docs/tables.md` all derive from `TABLES`. Types are GoogleSQL's.
Every table is partitioned by `ds`, the day (DATE), which is not repeated among the columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from include.contract.terms import AcceptanceStatus, DeliveryStatus, EventKind, ProposalStatus

SqlType = Literal["INT64", "FLOAT64", "STRING", "BOOL", "TIMESTAMP", "DATE"]

CELL = ("policy", "market", "model_version")
"""A cell: the unit a threshold belongs to."""

ALL_MARKETS = "*"
"""What stands for the market where those of several are pooled; no market can be named so."""

N_BINS = 1000
"""Score histogram bins of equal width over [0, 1]; bin -1 holds videos without a usable score."""

NO_SCORE_BIN = -1


MOST_VIEWS = 10**10
"""Views of one video in one day at most: more than there are people. Sums of views then fit into 64 bits."""


@dataclass(frozen=True)
class Column:
    """One column: its GoogleSQL type, meaning and what a row must satisfy.

    `minimum`, `maximum` are inclusive bounds, `above` an exclusive lower bound, `allowed` the possible strings.
    `optional` (of nullable columns of inputs): the platform may leave the column out, which then reads as NULL.
    `later` (of nullable columns of Plumbline's): it came after partitions were published. Where it is NULL throughout,
    a partition's fingerprint leaves it out, so that those partitions keep the one they were published with.
    """

    name: str
    type: SqlType
    meaning: str
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    allowed: tuple[str, ...] = ()
    optional: bool = False
    later: bool = False


@dataclass(frozen=True)
class Table:
    """One table. `key` is unique within a day.

    `slice_by` names the column that, together with the day, forms the unit of replacement where several writers
    share a day (each gate its own results); None: the day itself. `optional` inputs may be absent, which switches
    off what needs them, by name. `formats` are the file endings accepted in the embedded landing folder. `large`: a
    query must name the days it wants. `versions`: each row is a version, numbered, which is only ever added.
    """

    name: str
    owner: Literal["platform", "plumbline"]
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    optional: bool = False
    slice_by: str | None = None
    formats: tuple[str, ...] = ("parquet",)
    switches_off: str = ""
    large: bool = False
    versions: bool = False

    def column(self, name: str) -> Column:
        """The column of that name; KeyError if the table has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


_POLICY = Column("policy", "STRING", "Policy the score or decision is about, as named in policies.yaml")
_MARKET = Column("market", "STRING", "Market of the video, as named in policies.yaml")
_MODEL = Column("model_version", "STRING", "Classifier version that gave the score")
_VIDEO = Column("video_id", "INT64", "The platform's id of the video")
_CELL_COLUMNS = (_POLICY, _MARKET, _MODEL)
_SCORE = Column("score", "FLOAT64", "Classifier score; NULL: the model gave none", nullable=True, minimum=0, maximum=1)
_VIEWS = Column("views", "INT64", "Views of the video that day", minimum=0, maximum=MOST_VIEWS)
_CLUSTER = Column(
    "cluster_id",
    "INT64",
    "The platform's id of the group of copies the video belongs to (reposts, near-duplicates); NULL: of none",
    nullable=True,
    optional=True,
)
_DETAILS = (
    Column("title", "STRING", "Title of the video; shown to reviewers as text, cut at 500 characters", nullable=True),
    Column("description", "STRING", "Description of the video; the same, cut at 5,000 characters", nullable=True),
)
_GUIDELINE = Column("guideline_version", "STRING", "Version of the reviewing guideline the label was made under")
_LABEL_FORMATS = ("parquet", "jsonl", "csv")
_DECISIONS = ("violating", "not_violating", "unsure")
OUTCOME_MEASURES = (
    "removes",
    "reviews",
    "precision",
    "wrongful_removals_change",
    "violative_views_prevented_change",
    "enforced_removes",
)
REVIEW_QUEUE = "review_queue"
"""The programme of all videos that serving sent to review, and what an answer of that queue names as its sample_id."""
PROGRAMMES = ("audit", "prevalence", "golden", "training", "second_look", REVIEW_QUEUE)
ESTIMATING_PROGRAMMES = ("audit", "prevalence")
"""Those whose draws are asked blindly; `inclusion_probability` in review_sample is that of their union."""
BY_VIDEO_AND_POLICY = "video_and_policy"
"""The numbering of a design that draws by a number for each video and policy, the same for its model versions."""
RANDOM, DECISIVE = "random", "decisive"
"""Strata of the programme second_look: draws settled whatever reviewers said, and those settled for what they said."""
_REGIONS = ("no_score", "allow", "review", "remove", "any", REVIEW_QUEUE)


def _probability(name: str, meaning: str, *, nullable: bool = False) -> Column:
    return Column(name, "FLOAT64", meaning, nullable=nullable, minimum=0, maximum=1)


def _count(name: str, meaning: str, *, nullable: bool = False) -> Column:
    return Column(name, "INT64", meaning, nullable=nullable, minimum=0)


def _pi(name: str, meaning: str, *, nullable: bool = False) -> Column:
    return Column(name, "FLOAT64", meaning, nullable=nullable, above=0, maximum=1)


def _removal(name: str, kind: SqlType, meaning: str) -> Column:
    return Column(name, kind, meaning, nullable=True, optional=True)


_INPUTS = (
    Table(
        "video_scores",
        "platform",
        "One classifier score of one video for one policy",
        (_VIDEO, *_CELL_COLUMNS, _SCORE, _VIEWS, _CLUSTER),
        key=("video_id", "policy", "model_version"),
        large=True,
    ),
    Table(
        "reviewer_labels",
        "platform",
        "One label event as it arrived; the day is the day of arrival",
        (
            Column("event_id", "STRING", "Unique id of the event"),
            _VIDEO,
            _POLICY,
            Column("reviewer_id", "STRING", "Who reviewed"),
            Column("decision", "STRING", "The reviewer's answer", allowed=_DECISIONS),
            Column("labelled_at", "TIMESTAMP", "When the reviewer answered (UTC)"),
            _GUIDELINE,
            Column(
                "sample_id",
                "STRING",
                "The review_sample row answered, if known; review_queue: the platform's own review queue asked",
                nullable=True,
            ),
            Column("supersedes", "STRING", "event_id of the event this one corrects", nullable=True),
        ),
        key=("event_id",),
        large=True,
        formats=_LABEL_FORMATS,
    ),
    Table(
        "golden_labels",
        "platform",
        "A video whose truth experts settled",
        (_VIDEO, _POLICY, Column("violating", "BOOL", "The settled truth"), _GUIDELINE),
        key=("video_id", "policy"),
        optional=True,
        formats=_LABEL_FORMATS,
        switches_off="reviewer quality against golden labels; it is then measured against consensus",
    ),
    Table(
        "appeals",
        "platform",
        "One decided appeal against a removal",
        (
            Column("event_id", "STRING", "Unique id of the appeal decision"),
            _VIDEO,
            _POLICY,
            Column("outcome", "STRING", "Whether the removal stood", allowed=("upheld", "overturned")),
            Column("decided_at", "TIMESTAMP", "When the appeal was decided (UTC)"),
            _removal("market", "STRING", "Market of the removed video, as in enforcement_log"),
            _removal("model_version", "STRING", "Classifier version whose score removed it, as in enforcement_log"),
            _removal("threshold_version", "INT64", "Version it was removed under, as in enforcement_log"),
        ),
        key=("event_id",),
        large=True,
        optional=True,
        formats=_LABEL_FORMATS,
        switches_off="the appeals line of the daily report, nor the expected appeals of a forecast, nor the watch on "
        "appeals (which takes market, model_version and threshold_version, too)",
    ),
    Table(
        "enforcement_log",
        "platform",
        "What the platform did with one video for one policy",
        (
            _VIDEO,
            *_CELL_COLUMNS,
            Column("action", "STRING", "What was done", allowed=("remove", "review", "allow")),
            _count("threshold_version", "Version of thresholds.json in force; 0: none was"),
            Column("decided_at", "TIMESTAMP", "When the platform acted (UTC)"),
        ),
        key=("video_id", "policy", "model_version"),
        large=True,
        optional=True,
        switches_off="the comparison of enforced with published thresholds in the daily report, nor the expected "
        "appeals of a forecast, nor the watch on appeals",
    ),
    Table(
        "video_details",
        "platform",
        "What a video is called; it may hold every video there is, or those of the day alone",
        (_VIDEO, *_DETAILS),
        key=("video_id",),
        large=True,
        optional=True,
        switches_off="titles and descriptions in the review queue",
    ),
)

_OWNED = (
    Table(
        "score_profile",
        "plumbline",
        "A cell's health on one day, computed in the same scan as score_histogram",
        (
            *_CELL_COLUMNS,
            _count("n_rows", "Rows of the cell"),
            _count("null_scores", "Rows whose score is NULL"),
            _count("out_of_range_scores", "Rows whose score is NaN, below 0 or above 1; treated as no score"),
            _count("null_keys", "Rows with a NULL video_id, policy, market or model_version"),
            _count("negative_views", "Rows with views below 0, above 10^10 or NULL; counted as 0 views"),
            _count("duplicate_keys", "Rows beyond the first of their key, among the keys that were checked"),
            Column("checked_share", "FLOAT64", "Share of keys checked for duplicates", above=0, maximum=1),
            _probability("min_score", "Smallest usable score", nullable=True),
            _probability("mean_score", "Mean usable score", nullable=True),
            _probability("max_score", "Largest usable score", nullable=True),
            _count("views", "Views of the cell"),
            Column(
                "read_at",
                "TIMESTAMP",
                "The moment whose state of video_scores was read, and the draw reads again; NULL: the warehouse keeps "
                "no earlier states of it",
                nullable=True,
            ),
            Column(
                "set_aside",
                "STRING",
                "What gate `scores` set the cell aside for: it has no histogram and no draws of the day, and its "
                "thresholds stay; NULL: it counts",
                nullable=True,
                later=True,
            ),
        ),
        key=CELL,
    ),
    Table(
        "score_histogram",
        "plumbline",
        "A cell's population in one of 1,000 equal score bins, exact",
        (
            *_CELL_COLUMNS,
            Column(
                "bin",
                "INT64",
                "floor(score x 1000), at most 999; -1: no usable score",
                minimum=-1,
                maximum=999,
            ),
            _count("n_videos", "Videos in the bin"),
            _count("n_views", "Their views"),
        ),
        key=(*CELL, "bin"),
        large=True,
    ),
    Table(
        "score_panel",
        "plumbline",
        "A share of the day's videos, chosen by their ids alone, with their bins under every model version",
        (
            _VIDEO,
            *_CELL_COLUMNS,
            Column("bin", "INT64", "As in score_histogram", minimum=-1, maximum=999),
            _VIEWS,
        ),
        key=("video_id", *CELL),
        large=True,
    ),
    Table(
        "sampling_design",
        "plumbline",
        "One stratum of one sampling programme: what was planned, and why",
        (
            Column("design_id", "STRING", "Id of the design: a hash of its strata"),
            Column("programme", "STRING", "Sampling programme", allowed=PROGRAMMES),
            *_CELL_COLUMNS,
            Column("stratum", "STRING", "Name of the stratum within the cell"),
            Column(
                "region",
                "STRING",
                "What the thresholds in force do there, or would in shadow mode; any: not kept apart; review_queue: "
                "serving sent it to review, where its answer counts",
                allowed=_REGIONS,
            ),
            Column("first_bin", "INT64", "First histogram bin of the stratum", minimum=-1, maximum=999),
            Column("last_bin", "INT64", "Last histogram bin of the stratum", minimum=-1, maximum=999),
            _probability("score_low", "Lower score bound, inclusive", nullable=True),
            _probability("score_high", "Upper score bound", nullable=True),
            _count("population", "Videos in the stratum"),
            _count("population_views", "Their views"),
            _pi(
                "inclusion_probability",
                "Probability with which each video is drawn; NULL: it grows with views",
                nullable=True,
            ),
            _pi(
                "probability_per_view",
                "A video's inclusion probability is this times its views, at most 1; NULL: equal",
                nullable=True,
            ),
            Column(
                "expected_labels",
                "FLOAT64",
                "Labels expected; by views an upper bound, reached if no video is sure to be drawn",
                minimum=0,
            ),
            Column(
                "expected_minutes",
                "FLOAT64",
                "Reviewer minutes they cost, overlap included; draws asked in one question share its minutes",
                minimum=0,
            ),
            Column("reason", "STRING", "What fixed the inclusion probability"),
            Column(
                "numbering",
                "STRING",
                "What has a permanent random number of its own: each video and policy; NULL, in designs made "
                "before there was this column: each video, for all policies",
                nullable=True,
                allowed=(BY_VIDEO_AND_POLICY,),
                later=True,
            ),
        ),
        key=("programme", *CELL, "stratum"),
    ),
    Table(
        "enforcement_counts",
        "plumbline",
        "What the platform did on one day, counted once, for its log has as many rows as there are scores",
        (
            *_CELL_COLUMNS,
            Column("action", "STRING", "What was done", allowed=("remove", "review", "allow")),
            _count("threshold_version", "Version of thresholds.json in force; 0: none was"),
            Column("n_videos", "INT64", "Rows of the log with these values", minimum=1),
        ),
        key=(*CELL, "action", "threshold_version"),
    ),
    Table(
        "review_sample",
        "plumbline",
        "A video drawn for review",
        (
            Column("sample_id", "STRING", "Unique id of the draw"),
            Column("design_id", "STRING", "The design it was drawn under"),
            Column("programme", "STRING", "Sampling programme", allowed=PROGRAMMES),
            _VIDEO,
            *_CELL_COLUMNS,
            Column("stratum", "STRING", "Stratum it was drawn from"),
            Column(
                "region",
                "STRING",
                "What the thresholds in force did with it, or would have in shadow mode",
                allowed=_REGIONS,
            ),
            _SCORE,
            _VIEWS,
            _pi("programme_probability", "Inclusion probability in this programme"),
            _pi(
                "inclusion_probability",
                "Inclusion probability in the union of audit and prevalence; NULL: drawn by neither, so in no estimate",
                nullable=True,
            ),
            _probability(
                "permanent_random", "The video's permanent random number in this programme; below programme_probability"
            ),
            replace(_CLUSTER, optional=False),
        ),
        key=("programme", "video_id", "policy", "model_version"),
        large=True,
    ),
    Table(
        "review_details",
        "plumbline",
        "What reviewers are shown of a drawn video besides the video, where the platform delivers it",
        (_VIDEO, *_DETAILS),
        key=("video_id",),
    ),
    Table(
        "label_events",
        "plumbline",
        "A label event that was accepted on the day it arrived",
        (
            Column("event_id", "STRING", "Unique id of the event, over all days"),
            _VIDEO,
            _POLICY,
            Column("reviewer_id", "STRING", "Who reviewed"),
            Column("decision", "STRING", "The reviewer's answer", allowed=_DECISIONS),
            Column("labelled_at", "TIMESTAMP", "When the reviewer answered (UTC)"),
            _GUIDELINE,
            Column("sample_id", "STRING", "The review_sample row answered, if the event named one", nullable=True),
            Column("supersedes", "STRING", "event_id of the event this one corrects", nullable=True),
            Column("programme", "STRING", "Sampling programme of the draw it answers", allowed=PROGRAMMES),
            Column("sampled_on", "DATE", "Day of that draw, the latest before the label"),
            Column("source_file", "STRING", "File it came in, relative to the day's folder"),
            _count("source_line", "Line or row in that file, from 1"),
        ),
        key=("event_id",),
        large=True,
    ),
    Table(
        "label_rejects",
        "plumbline",
        "A label event that was refused, with what it said and why",
        (
            Column("source_file", "STRING", "File it came in, relative to the day's folder"),
            _count("source_line", "Line or row in that file, from 1; 0: the file as a whole"),
            Column("reason", "STRING", "Named reason"),
            Column("detail", "STRING", "Column and value that caused it"),
            Column("raw", "STRING", "The event as it was read"),
            Column("header", "STRING", "Line 1 of a CSV file, which names its columns", nullable=True),
        ),
        key=("source_file", "source_line"),
        large=True,
    ),
    Table(
        "input_rejects",
        "plumbline",
        "A row of golden_labels, appeals or enforcement_log that was set aside, with what it said and why",
        (
            Column("table_name", "STRING", "The input"),
            Column("source_file", "STRING", "File it came in; the table's name where it came in none"),
            _count("source_line", "Line or row in that file, from 1; 0: the file as a whole"),
            Column("column_name", "STRING", "Column at fault; NULL: the row or the file", nullable=True),
            Column("reason", "STRING", "Named reason"),
            Column("detail", "STRING", "Column and value that caused it"),
            Column("raw", "STRING", "The row as it was read"),
        ),
        key=("table_name", "source_file", "source_line"),
        slice_by="table_name",
        large=True,
    ),
    Table(
        "label_consensus",
        "plumbline",
        "What reviewers together say of a sampled video, as of the day",
        (
            _VIDEO,
            _POLICY,
            _probability(
                "p_violating",
                "Probability that it violates the policy; NULL: only unsure answers",
                nullable=True,
            ),
            _count("votes", "Votes counted (unsure answers are not)"),
            _count("unsure", "Unsure answers"),
            _probability("agreement", "Share of pairs of votes that agree; NULL with one vote", nullable=True),
            Column("status", "STRING", "final once the maturity window passed", allowed=("provisional", "final")),
            Column("method", "STRING", "Consensus method of the policy"),
            Column(
                "asked_by",
                "STRING",
                "Where the answers were given: to a sample, blindly; in the platform's review queue; for training; "
                "NULL: it was not told apart yet",
                nullable=True,
                allowed=("sample", REVIEW_QUEUE, "training"),
            ),
            Column("sampled_on", "DATE", "Day whose sample holds the video"),
            Column(
                "settled",
                "STRING",
                "What experts said on a second look; NULL: nothing, unsure, or they disagree",
                nullable=True,
                allowed=("violating", "not_violating"),
            ),
        ),
        key=("video_id", "policy"),
        large=True,
    ),
    Table(
        "queue_decisions",
        "plumbline",
        "What a cell's review queue of one day decided, once its labels are final, beside blind answers",
        (
            *_CELL_COLUMNS,
            Column("sampled_on", "DATE", "The day whose videos were sent to review"),
            _count("sent", "Videos that serving sent to review"),
            _count("decided", "Of those, with an answer, unsure ones included"),
            Column("emptied", "BOOL", "Whether so many are that the queue's answers count as draws"),
            _count("compared", "Videos that others were asked about blindly, too, and that both sides were sure of"),
            _count("only_queue", "Of those, violating to the queue alone"),
            _count("only_blind", "Of those, violating to the blind alone"),
            Column(
                "e_value",
                "FLOAT64",
                "Evidence up to the day, of the policy in the market, that the queue answers otherwise; 1: none",
                minimum=0,
            ),
            Column("refusal", "STRING", "Why the queue's answers are no evidence; NULL: they are", nullable=True),
        ),
        key=CELL,
    ),
    Table(
        "label_completeness",
        "plumbline",
        "How many of the window's draws that are old enough to be final were answered by a label age, as of the day",
        (
            _POLICY,
            _MARKET,
            Column(
                "region",
                "STRING",
                "What the thresholds in force did with the videos, or would have in shadow mode",
                allowed=_REGIONS,
            ),
            Column("age_days", "INT64", "Days from the draw's day to the label's arrival", minimum=1),
            _count("drawn", "Draws of videos that are old enough to be final"),
            _count("answered", "Of those, with a final answer whose first vote had arrived at that age"),
            _probability("completeness", "answered / drawn; at the highest counted age the response rate"),
            _count("arrived", "Label events on these draws that arrived at just that age, unsure ones included"),
            Column("counted", "BOOL", "false: they came after the maturity window had closed and count for nothing"),
        ),
        key=("policy", "market", "region", "age_days"),
    ),
    Table(
        "reviewer_quality",
        "plumbline",
        "A reviewer's record in one policy, as of the day, on one basis",
        (
            _POLICY,
            Column("reviewer_id", "STRING", "Who reviewed"),
            _count("labels", "Votes in the window"),
            _count("golden_labels", "Of those, on videos with a golden label"),
            _probability("sensitivity", "Share of violating videos called violating", nullable=True),
            _probability("sensitivity_low", "Lower end of its 95 % interval", nullable=True),
            _probability("sensitivity_high", "Upper end of its 95 % interval", nullable=True),
            _probability("specificity", "Share of other videos called not violating", nullable=True),
            _probability("specificity_low", "Lower end of its 95 % interval", nullable=True),
            _probability("specificity_high", "Upper end of its 95 % interval", nullable=True),
            _probability("agreement", "Share of votes equal to the others' majority", nullable=True),
            Column("basis", "STRING", "What the reviewer was judged against", allowed=("golden", "consensus")),
            Column(
                "seconds_per_answer",
                "FLOAT64",
                "Median seconds between consecutive answers, pauses above half an hour left out",
                nullable=True,
                minimum=0,
            ),
            _count("recent_labels", "Votes of the last seven days that could be compared with something"),
            _probability("recent_agreement", "Share of these that are right", nullable=True),
            _probability("earlier_agreement", "The same share of the votes before", nullable=True),
            _probability(
                "drift_p_value",
                "Chance of such a difference without a change, for all reviewers compared together",
                nullable=True,
            ),
            Column("drifted", "BOOL", "Whether that chance is at most 5 %"),
            Column("below_floor", "BOOL", "Whether an interval lies wholly below the policy's reviewer_floor"),
            Column(
                "action",
                "STRING",
                "What the consensus of the day did with the reviewer's votes; golden labels alone decide",
                allowed=("keep", "down_weight", "leave_out"),
            ),
        ),
        key=("policy", "reviewer_id", "basis"),
    ),
    Table(
        "label_agreement",
        "plumbline",
        "How far the reviewers of one policy agree, as of the day",
        (
            _POLICY,
            _count("items", "Videos with a vote"),
            _count("shared_items", "Of those, with two votes or more"),
            _count("reviewers", "Reviewers who voted"),
            Column("krippendorff_alpha", "FLOAT64", "1: perfect, 0: chance; low at rare classes", nullable=True),
            Column("gwet_ac1", "FLOAT64", "The same scale, steady at rare classes", nullable=True, maximum=1),
        ),
        key=("policy",),
    ),
    Table(
        "policy_metrics",
        "plumbline",
        "One metric of one cell, or of several pooled, as of the day, or why it is not stated",
        (
            _POLICY,
            Column("market", "STRING", "Market of the videos, as named in policies.yaml; * where several are pooled"),
            _MODEL,
            Column("population", "STRING", "Whom it speaks for: cell, region and its name, or policy: all markets"),
            Column(
                "metric",
                "STRING",
                "precision, recall and false_positive_rate of automatic removal at the thresholds in force; "
                "prevalence; violative_view_rate",
                allowed=("precision", "recall", "false_positive_rate", "prevalence", "violative_view_rate"),
            ),
            _probability("value", "The estimate", nullable=True),
            _probability("low", "Lower end of its 95 % interval", nullable=True),
            _probability("high", "Upper end of its 95 % interval", nullable=True),
            _count("n", "Labels it rests on"),
            Column("refusal", "STRING", "Why no value is stated", nullable=True),
            _probability("threshold", "remove_at it was measured at; NULL where cells are pooled", nullable=True),
            _probability("corrected", "The estimate for true labels, reviewers' error being known", nullable=True),
            _probability("corrected_low", "Lower end of its 95 % interval", nullable=True),
            _probability("corrected_high", "Upper end of its 95 % interval", nullable=True),
            Column("correction", "STRING", "Why no corrected value is stated", nullable=True),
        ),
        key=(*CELL, "population", "metric"),
    ),
    Table(
        "threshold_proposals",
        "plumbline",
        "The day's answer for one cell: keep, change, or why neither can be certified",
        (
            Column("proposal_id", "STRING", "Hash of cell, day, origin, values and evidence"),
            Column("origin", "STRING", "daily, or the id of the ad-hoc run"),
            *_CELL_COLUMNS,
            _probability("current_remove_at", "remove_at in force"),
            _probability("current_review_at", "review_at in force"),
            _probability("proposed_remove_at", "remove_at proposed; certified where refusal is NULL", nullable=True),
            _probability("proposed_review_at", "review_at that goes with it", nullable=True),
            _probability("target", "Precision asked of automatic removal"),
            Column(
                "goal_weight",
                "STRING",
                "What precision and recall count: videos, or their views; NULL: videos, it was not told apart yet",
                nullable=True,
                allowed=("videos", "views"),
            ),
            _probability("confidence", "Confidence asked of the certificate"),
            Column("population", "STRING", "Whom the certificate speaks for: cell, or what was pooled"),
            Column("method", "STRING", "Test that certified", nullable=True),
            _probability("estimate", "Estimated precision at the proposed remove_at", nullable=True),
            _probability("bound", "Certified lower bound of it", nullable=True),
            Column(
                "basis",
                "STRING",
                "What they speak for: true labels, reviewers' error being known from golden ones, or the consensus",
                allowed=("golden", "consensus"),
            ),
            _count("n", "Labels at or above the proposed remove_at"),
            Column(
                "refusal",
                "STRING",
                "Why nothing could be certified; a proposed_remove_at beside it is not below the one in force",
                nullable=True,
            ),
            _count("labels_needed", "More labels that would decide it", nullable=True),
            _probability(
                "certified_remove_at",
                "Lowest remove_at that the day's labels certify, which the days after look back at",
                nullable=True,
            ),
            _count("removes_before", "Videos a day at or above current_remove_at"),
            _count("removes_after", "Videos a day at or above proposed_remove_at", nullable=True),
            _count("reviews_before", "Videos a day sent to review now"),
            _count("reviews_after", "Videos a day sent to review after", nullable=True),
            _probability(
                "canary_share", "Share of the cell's videos it acts on first; NULL: on all at once", nullable=True
            ),
            Column("forecast", "STRING", "JSON: the forecast of the change"),
            Column("verdicts", "STRING", "JSON: each guardrail's verdict with its reason"),
            Column(
                "status",
                "STRING",
                "Where the proposal stands",
                allowed=tuple(ProposalStatus),
            ),
            Column("answered_by", "STRING", "Who approved or rejected", nullable=True),
        ),
        key=("origin", *CELL),
        slice_by="origin",
    ),
    Table(
        "notifications",
        "plumbline",
        "Who was told of what: an event and somebody who is to hear of it; `ds` is the day on which it was noticed",
        (
            Column("event", "STRING", "What happened", allowed=tuple(EventKind)),
            Column("event_key", "STRING", "What tells it from other events; each is told once"),
            Column("about", "DATE", "The day it is about"),
            Column("channel", "STRING", "How it is sent, as policies.yaml says; empty: to nobody"),
            Column("connection", "STRING", "The Airflow connection it is sent by; empty: to nobody"),
            Column("recipient", "STRING", "Who hears of it; empty: nobody"),
            Column("subject", "STRING", "The message in one line"),
            Column("text", "STRING", "The message: what, effect, what to do, link"),
            Column("status", "STRING", "How far it has come", allowed=tuple(DeliveryStatus)),
            _count("attempts", "How often it was tried"),
            Column("noticed_at", "TIMESTAMP", "When the event was noticed"),
            Column("tried_at", "TIMESTAMP", "When it was tried last", nullable=True),
            Column("problem", "STRING", "Why it was not sent when it was tried last", nullable=True),
        ),
        key=("event_key", "connection", "recipient"),
    ),
    Table(
        "approval_questions",
        "plumbline",
        "What a run showed to the person who had to answer, first and ever since, and what was answered",
        (
            Column("asked_in", "STRING", "The task of Airflow that asked: its Dag, its run and its id"),
            Column("digest", "STRING", "SHA-256 over what was shown and what an approval would carry out"),
            Column("subject", "STRING", "The question in one line"),
            Column("body", "STRING", "What was shown below it, Markdown"),
            Column("effect", "STRING", "What a yes would do, in a sentence or two", nullable=True),
            Column("address", "STRING", "Of the evidence, within the page in the Airflow UI", nullable=True),
            Column("answer_by", "TIMESTAMP", "When what counts without an answer takes its place", nullable=True),
            Column("answer", "STRING", "The option that was chosen, or that counts without an answer", nullable=True),
            Column("answered_by", "STRING", "Who answered; NULL beside an answer: nobody did in time", nullable=True),
            Column("answered_at", "TIMESTAMP", "When the answer was settled", nullable=True),
            Column("outcome", "STRING", "What the answer came to, in words", nullable=True),
        ),
        key=("asked_in",),
        slice_by="asked_in",
    ),
    Table(
        "threshold_ledger",
        "plumbline",
        "A published version of all thresholds: append-only, numbered without gaps, hash-chained",
        (
            Column("version", "INT64", "1, 2, 3 ... without gaps", minimum=1),
            Column("hash", "STRING", "SHA-256 over column_hashes, and so over every other column"),
            Column("column_hashes", "STRING", "JSON: SHA-256 of ds and of every other column but hash"),
            Column("previous_hash", "STRING", "hash of the version before; empty for version 1"),
            Column("published_at", "TIMESTAMP", "When it was published (UTC)"),
            Column("thresholds", "STRING", "JSON: all cells with remove_at and review_at"),
            Column("changes", "STRING", "JSON: cells that changed: old and new values, certificate, forecast, origin"),
            Column("proposal_ids", "STRING", "JSON: proposals it carries out; empty for version 1"),
            Column("evidence", "STRING", "JSON: SHA-256 of the configuration and of each partition it rests on"),
            Column("code_version", "STRING", "Version of Plumbline that published"),
            Column("requester", "STRING", "Who or what asked for it"),
            Column("approver", "STRING", "Who approved; NULL: within limits", nullable=True),
            Column("reason", "STRING", "Why"),
            Column("expires_on", "DATE", "Last day the changes hold; NULL: until something newer", nullable=True),
            Column("request", "STRING", "JSON: what was asked for, enough to compute the changes anew"),
        ),
        key=("version",),
        versions=True,
    ),
    Table(
        "forecast_outcomes",
        "plumbline",
        "One number of a published change's forecast beside what happened so many days later; the day is the first on "
        "which the later day's labels are final",
        (
            Column("version", "INT64", "The version that made the change", minimum=1),
            *_CELL_COLUMNS,
            Column("horizon_days", "INT64", "Days after the day the version rests on: 1, 7 or 28", minimum=1),
            Column("measured_on", "DATE", "That later day"),
            Column("measure", "STRING", "What was forecast, a day", allowed=OUTCOME_MEASURES),
            Column("forecast", "FLOAT64", "What was forecast", nullable=True),
            Column("forecast_low", "FLOAT64", "Lower end of its 95 % interval; NULL: none was given", nullable=True),
            Column("forecast_high", "FLOAT64", "Upper end of its 95 % interval", nullable=True),
            Column("happened", "FLOAT64", "What happened, counted or estimated from labels", nullable=True),
            Column("happened_low", "FLOAT64", "Lower end of its 95 % interval; NULL: counted", nullable=True),
            Column("happened_high", "FLOAT64", "Upper end of its 95 % interval", nullable=True),
            _count("labels", "Labels drawn since the change that it rests on; 0: counted"),
            Column("in_force", "BOOL", "Whether the version's thresholds were still the cell's on that day"),
            Column("refusal", "STRING", "Why what happened is not stated", nullable=True),
        ),
        key=("version", *CELL, "horizon_days", "measure"),
    ),
    Table(
        "threshold_watch",
        "plumbline",
        "What the labels and the appeals since a published change say of it as of the day: e-values that may be looked "
        "at every day",
        (
            *_CELL_COLUMNS,
            Column("version", "INT64", "The version that brought remove_at, or began its canary", minimum=1),
            Column("since", "DATE", "First day on which it acted"),
            Column("through", "DATE", "Last day whose draws are counted"),
            _probability("share", "Share of the cell's videos it acts on; below 1: a canary"),
            _probability("remove_at", "The remove_at watched"),
            _probability(
                "limit", "Precision promised; without experts who settle what is passed, as reviewers' labels show it"
            ),
            _count("n", "Labels at or above remove_at counted"),
            _probability(
                "estimate",
                "Precision among them; with experts, all counts as right that they did not settle otherwise",
                nullable=True,
            ),
            Column("e_value", "FLOAT64", "Evidence of labels that the promise is broken; 1: none", minimum=0),
            Column("highest_e_value", "FLOAT64", "Its highest on any day so far", minimum=1),
            Column("state", "STRING", "JSON: what the next day's labels go on from"),
            Column(
                "appeals_through",
                "DATE",
                "Last day whose removals and decided appeals are counted; NULL: this change's appeals are not watched",
                nullable=True,
            ),
            Column("appeals_remark", "STRING", "Why they are not watched, or not up to the day", nullable=True),
            _count("removals", "Removals counted, by enforcement_log; 0 where appeals are not watched"),
            _count("overturned", "Of those, overturned on appeal"),
            Column("appeals_e_value", "FLOAT64", "Evidence of appeals that the promise is broken; 1: none", minimum=0),
            Column("highest_appeals_e_value", "FLOAT64", "Its highest on any day so far", minimum=1),
            Column(
                "alarm_at",
                "FLOAT64",
                "The e-value that raises the alarm: 1 / watch.alpha, or twice that for each where both are watched",
                minimum=1,
            ),
            Column("alarm", "BOOL", "Whether highest_e_value or highest_appeals_e_value reached alarm_at"),
            Column(
                "action",
                "STRING",
                "What follows: a question, a rollback, or the canary's end",
                allowed=("none", "ask", "roll_back", "end_canary"),
            ),
            _probability("safe_remove_at", "remove_at an alarm goes back to; 1: none", nullable=True),
            _probability("safe_review_at", "review_at that goes with it", nullable=True),
            Column("reason", "STRING", "The alarm in words", nullable=True),
        ),
        key=(*CELL, "version"),
    ),
    Table(
        "retraining_decisions",
        "plumbline",
        "Why a policy's model is, or is not, to be retrained",
        (
            _POLICY,
            _MODEL,
            Column("decision", "STRING", "What was decided", allowed=("retrain", "declined", "keep", "undecided")),
            Column("reasons", "STRING", "JSON: each condition with its numbers"),
            Column(
                "asked_for",
                "STRING",
                "What speaks for retraining, also where something else speaks against it now; NULL: nothing",
                nullable=True,
                allowed=("recall", "guideline"),
            ),
            _probability(
                "recall_now",
                "Of what may be removed, the share that any threshold could reach at the required precision in the "
                "recent days",
                nullable=True,
            ),
            _probability("recall_reference", "The same in the reference days before", nullable=True),
            _count("labels_available", "Labelled videos a snapshot would hold"),
            _count("labels_required", "Labelled videos the config asks for"),
        ),
        key=("policy", "model_version"),
    ),
    Table(
        "training_snapshots",
        "plumbline",
        "A weighted training set handed over to the model team",
        (
            Column("snapshot_id", "STRING", "Id: policy, model version and a hash of the rows"),
            _POLICY,
            _MODEL,
            _count("n_rows", "Rows"),
            _count("n_positive", "Rows with p_violating of at least one half"),
            Column("effective_n", "FLOAT64", "Kish's effective sample size of the weights", minimum=0),
            Column("path", "STRING", "Parquet file, relative to the output folder"),
            Column("sha256", "STRING", "Hash of that file"),
            Column("mlflow_run_id", "STRING", "MLflow run whose input the dataset is"),
            Column("guideline_version", "STRING", "Guideline that its labels were made under", nullable=True),
        ),
        key=("policy", "model_version"),
    ),
    Table(
        "model_comparisons",
        "plumbline",
        "A challenger beside the champion of its policy, on the same probability sample, and what became of it",
        (
            Column("origin", "STRING", "The run of accept_model that compared: its Dag and its id"),
            _POLICY,
            Column("champion", "STRING", "Model version in service"),
            Column("challenger", "STRING", "Model version that is to take its place"),
            Column("registered_champion", "STRING", "Version of the registered model in MLflow that the champion is"),
            Column("registered_challenger", "STRING", "The same of the challenger"),
            Column(
                "outcome",
                "STRING",
                "What the sample says of the challenger",
                allowed=("better", "worse", "undecided", "unusable"),
            ),
            Column("status", "STRING", "Where it stands", allowed=tuple(AcceptanceStatus)),
            Column("reason", "STRING", "Why, in words"),
            _probability("confidence", "Confidence of each limit"),
            _count("sampled", "Labelled draws of either version in the window"),
            _count("unscored_champion", "Of those, without a row of the champion in video_scores"),
            _count("unscored_challenger", "Of those, without a row of the challenger"),
            _probability("recall_champion", "Its recall at the required precision", nullable=True),
            _probability("recall_challenger", "The challenger's", nullable=True),
            Column("gain", "FLOAT64", "Recall gained, paired", nullable=True, minimum=-1, maximum=1),
            Column("gain_low", "FLOAT64", "Its lower limit at the confidence", nullable=True, minimum=-1, maximum=1),
            Column("gain_high", "FLOAT64", "Its upper limit", nullable=True, minimum=-1, maximum=1),
            Column("markets", "STRING", "JSON: the same by market, with the labels and the thresholds compared"),
            _count("labels_needed", "More labels that would decide it", nullable=True),
            Column("answered_by", "STRING", "Who approved or rejected", nullable=True),
        ),
        key=("origin", "policy"),
        slice_by="origin",
    ),
    Table(
        "quality_results",
        "plumbline",
        "What one expectation found in one gate",
        (
            Column("gate", "STRING", "Name of the gate"),
            Column("table_name", "STRING", "Table that was judged"),
            _count("position", "Order within the gate, from 1"),
            Column("expectation", "STRING", "What had to hold"),
            Column("column_name", "STRING", "Column it is about", nullable=True),
            Column("severity", "STRING", "What a failure does", allowed=("critical", "warning")),
            Column("success", "BOOL", "Whether it held"),
            Column("observed", "STRING", "What was found, with an example"),
        ),
        key=("gate", "position"),
        slice_by="gate",
    ),
    Table(
        "gate_failures",
        "plumbline",
        "A check that did not hold when a gate stopped the day; it stays when the day is healed and passes, while "
        "quality_results hold the newest result alone",
        (
            Column("gate", "STRING", "Name of the gate"),
            Column(
                "attempt",
                "INT64",
                "Which failure of the gate on that day, from 1; the same one found again is not counted again",
                minimum=1,
            ),
            _count("position", "Order within the gate, from 1"),
            Column("table_name", "STRING", "Table that was judged"),
            Column("expectation", "STRING", "What had to hold"),
            Column("column_name", "STRING", "Column it is about", nullable=True),
            Column("severity", "STRING", "What a failure does", allowed=("critical", "warning")),
            Column("observed", "STRING", "What was found, with an example"),
        ),
        key=("gate", "attempt", "position"),
        slice_by="gate",
    ),
    Table(
        "warehouse_usage",
        "plumbline",
        "What BigQuery billed for Plumbline's jobs, by the day (UTC) on which they were sent; the embedded warehouse "
        "bills nothing, and has no rows",
        (
            Column("dag", "STRING", "Dag whose jobs they were; empty: a command's"),
            Column("task", "STRING", "Its task"),
            Column("about_day", "DATE", "The day of data they were about; of none: that on which they were sent"),
            _count("jobs", "Jobs sent"),
            _count("bytes_billed", "Bytes billed, the smallest bills of small queries included"),
            _count("slot_ms", "Slot time taken, in milliseconds"),
        ),
        key=("dag", "task", "about_day"),
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in (*_INPUTS, *_OWNED)}
