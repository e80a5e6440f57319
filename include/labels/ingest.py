"""Accepts or refuses each label event of one arrival day: `read` = accepted + refused, always.

`Reason` lists the rules with their meaning; the first that applies, in its order, names the refusal. Decisions behind:

- *Values* are read as `include.reading.values` says of all inputs.
- *Sampled.* A day's sample is drawn when the day is over, so a label belongs to the latest draw of its video and
  policy before the day it was made (`sampled_on`, `programme`). A sample_id, where given, must be one of these draws
  and says which programme asked. Without one, of the programmes that drew the video on that latest day the first of
  `PROGRAMMES_BY_PRECEDENCE` is taken to have asked, but never a second look: only who was asked for one knows its
  sample_id, and where the configuration names a market's experts, nobody else answers it.
- *Review queue.* An answer of the platform's own review queue names no draw but `review_queue`. It belongs to the
  queue's draw of its video and may be of the day itself, as that queue is answered while the day lasts. Where the
  video was not sent to review it is set aside, which is no fault: such queues hold other things, too.
- *Garbage.* A file in which more than `gates.max_reject_share` of at least `gates.garbage_min_lines` events are refused
  is set aside as a whole: the events that look right were written by the same hand. Repeats are judged afterwards, so
  that no event of a good file falls as the repeat of one set aside, and a file sent twice is no garbage.
- *Idempotent on event_id.* The first accepted event in the order (arrival day, file, line) stands. An exact repeat is a
  duplicate, in the same file, another file or on a later day, also one that leaves out what it corrects; other content
  under the same id is a conflict. Only
  accepted events take an id: a refused event can be corrected and sent again under its own. Whoever gives the sample
  of a span of days gives the earlier events of the same span: a label comes after its sample, so none is missed.
- *Unsure* answers are accepted: they are no vote, but they are counted.
- *Second answers* of a reviewer are accepted; `include.consensus.asof` lets the later one stand.
- *Corrections* name the event they supersede, whoever made it. An event nobody has seen may be named: it may have been
  refused, or arrive later, and the correction stands by itself. An annotation of Label Studio that was changed corrects
  the newest earlier version that was accepted, so that a lead's answer takes the place of the annotator's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from include.config.model import Config
from include.contract.schema import empty_frame
from include.contract.tables import REVIEW_QUEUE, TABLES
from include.contract.terms import HARMLESS, Reason
from include.labels.drops import FIELDS, REQUIRED_FIELDS
from include.labels.label_studio import annotation_of
from include.reading.values import Verdicts, stripped, times, whole_numbers

_EVENTS = TABLES["label_events"]
_REJECTS = TABLES["label_rejects"]
_CONTENT = [name for name in FIELDS if name != "event_id"]
_ORDER = ["source_file", "source_line"]

PROGRAMMES_BY_PRECEDENCE = ("audit", "prevalence", "training", "golden", REVIEW_QUEUE, "second_look")


@dataclass(frozen=True)
class Ingested:
    """One arrival day. `events` has the columns of `label_events`, `rejects` those of `label_rejects`, both in the
    order of (source_file, source_line); `read` = len(events) + len(rejects).
    """

    events: pd.DataFrame
    rejects: pd.DataFrame
    read: int


def ingest(
    raw: pd.DataFrame,
    refused: pd.DataFrame,
    *,
    day: dt.date,
    sample: pd.DataFrame,
    prior_events: pd.DataFrame,
    config: Config,
) -> Ingested:
    """Judge the events that arrived on `day` by the rules of `Reason`.

    Args:
        raw, refused: what `include.labels.drops.read_drops` gave for the day.
        day: the day of arrival (UTC).
        sample: draws of the days before: at least video_id, policy, market, programme, sample_id and ds.
        prior_events: `label_events` of earlier arrival days with ds (the arrival day); rows of `day` itself or later
            are ignored, so a rerun judges as the first run did.
        config: policies and their guideline versions, and what makes a file garbage.
    """
    rows = raw.sort_values(_ORDER, kind="stable", ignore_index=True)
    fields = rows[list(FIELDS)].apply(stripped)
    verdicts = Verdicts(len(rows))
    for name in REQUIRED_FIELDS:
        verdicts.refuse(fields[name].isna(), Reason.MISSING_FIELD, name, rows[name].fillna(""))

    events = _typed(fields, verdicts, config, set(sample["policy"]))
    end_of_day = pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1)
    verdicts.refuse(
        events["labelled_at"] >= end_of_day, Reason.LABELLED_IN_FUTURE, "labelled_at", fields["labelled_at"]
    )
    guideline = events["policy"].map({name: policy.guideline_version for name, policy in config.policies.items()})
    verdicts.refuse(
        events["guideline_version"] != guideline,
        Reason.OTHER_GUIDELINE,
        "guideline_version",
        fields["guideline_version"],
    )
    verdicts.refuse(
        events["supersedes"] == events["event_id"], Reason.SUPERSEDES_ITSELF, "supersedes", fields["supersedes"]
    )
    events[["sampled_on", "programme"]] = _draw_answered(events, sample, verdicts, config)
    _set_garbage_aside(rows, refused, verdicts, config)
    _refuse_repeats(events, prior_events, day, verdicts)
    corrected = _version_before(events, prior_events, day, verdicts)
    events["supersedes"] = events["supersedes"].where(events["supersedes"].notna(), corrected)

    events = pd.concat([events, rows[_ORDER]], axis=1)[verdicts.open]
    events["sampled_on"] = events["sampled_on"].dt.date
    found = rows[[*_ORDER, "raw", "header"]].assign(reason=verdicts.reason, detail=verdicts.detail)[~verdicts.open]
    rejects = pd.concat([refused, found]).sort_values(_ORDER, kind="stable")
    return Ingested(
        events=events[list(_EVENTS.column_names)].astype(empty_frame(_EVENTS).dtypes).reset_index(drop=True),
        rejects=rejects[list(_REJECTS.column_names)].astype(empty_frame(_REJECTS).dtypes).reset_index(drop=True),
        read=len(raw) + len(refused),
    )


def _typed(fields: pd.DataFrame, verdicts: Verdicts, config: Config, sampled: Collection[str]) -> pd.DataFrame:
    """`fields` with video_id as int64 (0 where refused) and labelled_at in UTC (NaT where refused).

    `sampled`: policies that videos were sampled for.
    """
    ids, wrong = whole_numbers(fields["video_id"])
    bad = np.array([why != "" for why in wrong], dtype=bool)
    verdicts.refuse(bad, Reason.BAD_VIDEO_ID, "video_id", fields["video_id"], wrong)
    unknown = ~fields["policy"].isin(config.policies)
    verdicts.refuse(unknown & fields["policy"].isin(sampled), Reason.RETIRED_POLICY, "policy", fields["policy"])
    verdicts.refuse(unknown, Reason.UNKNOWN_POLICY, "policy", fields["policy"])
    decisions = _EVENTS.column("decision").allowed
    verdicts.refuse(~fields["decision"].isin(decisions), Reason.UNKNOWN_DECISION, "decision", fields["decision"])
    labelled_at = times(fields["labelled_at"])
    verdicts.refuse(labelled_at.isna(), Reason.BAD_TIMESTAMP, "labelled_at", fields["labelled_at"])
    return fields.assign(video_id=ids, labelled_at=labelled_at)


def _draw_answered(events: pd.DataFrame, sample: pd.DataFrame, verdicts: Verdicts, config: Config) -> pd.DataFrame:
    """sampled_on and programme of the draw each event answers, NaT where refused."""
    draws = pd.DataFrame(
        {
            "video_id": sample["video_id"].astype("int64"),
            # Not as pandas strings: merging an empty column of those that came from a file fails (pandas 3.1).
            **{name: sample[name].astype("object") for name in ("policy", "sample_id", "programme", "market")},
            "sampled_on": pd.to_datetime(sample["ds"]).astype("datetime64[us]"),
        }
    )
    video = ["video_id", "policy"]
    key = pd.MultiIndex.from_frame(events[video])
    of_queue = events["sample_id"] == REVIEW_QUEUE
    sent = key.isin(pd.MultiIndex.from_frame(draws.loc[draws["programme"] == REVIEW_QUEUE, video]))
    verdicts.refuse(
        of_queue & ~sent,
        Reason.NOT_SENT_TO_REVIEW,
        "video_id",
        events["video_id"].astype("str") + " for " + events["policy"],
    )
    verdicts.refuse(
        ~key.isin(pd.MultiIndex.from_frame(draws[video])),
        Reason.VIDEO_NOT_SAMPLED,
        "video_id",
        events["video_id"].astype("str") + " for " + events["policy"],
    )
    named = draws.drop_duplicates([*video, "sample_id"]).set_index([*video, "sample_id"])["programme"]
    named_by = named.reindex(pd.MultiIndex.from_frame(events[[*video, "sample_id"]])).set_axis(events.index)
    named_by = named_by.mask(of_queue & sent, REVIEW_QUEUE)
    unknown = events["sample_id"].notna() & named_by.isna()
    verdicts.refuse(unknown, Reason.OTHER_SAMPLE, "sample_id", events["sample_id"])

    _refuse_outsiders(events, draws, (named_by == "second_look").to_numpy(), verdicts, config)

    labelled_on = events["labelled_at"].dt.tz_localize(None).dt.floor("D")
    labelled = events[video].assign(programme=named_by, labelled_on=labelled_on)[verdicts.open]
    labelled = labelled.astype({"policy": "object", "programme": "object"})
    order = pd.Categorical(draws["programme"], PROGRAMMES_BY_PRECEDENCE[::-1], ordered=True)
    # What serving sends to review is answered from its own day on, all other draws from the day after.
    before = draws["sampled_on"] - pd.to_timedelta((draws["programme"] == REVIEW_QUEUE).astype("int64"), unit="D")
    draws = draws.assign(order=order, before=before).sort_values(["before", "order"], kind="stable")
    asked = labelled["programme"].notna()
    latest = pd.concat(
        [
            _latest(labelled[asked], draws, [*video, "programme"]),
            _latest(labelled[~asked].drop(columns="programme"), draws[draws["programme"] != "second_look"], video),
        ]
    ).reindex(events.index)
    verdicts.refuse(
        latest["sampled_on"].isna(),
        Reason.LABELLED_BEFORE_SAMPLED,
        "labelled_at",
        events["labelled_at"].astype("str"),
    )
    return latest


def _refuse_outsiders(
    events: pd.DataFrame, draws: pd.DataFrame, second_look: NDArray[np.bool_], verdicts: Verdicts, config: Config
) -> None:
    """Refuse answers to a second look by anybody but the experts of its market, where the configuration names them."""
    named = {name: market.experts.names for name, market in config.markets.items() if market.experts}
    market_of = draws.drop_duplicates("sample_id").set_index("sample_id")["market"]
    people = [named.get(market) or [] for market in market_of.reindex(events["sample_id"])]
    outsider = [bool(known) and who not in known for known, who in zip(people, events["reviewer_id"], strict=True)]
    refused = second_look & np.array(outsider, dtype=bool)
    verdicts.refuse(refused, Reason.NOT_AN_EXPERT, "reviewer_id", events["reviewer_id"])


def _latest(labelled: pd.DataFrame, draws: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """sampled_on and programme of the last of `draws`, in their order, whose `before` lies before `labelled_on`."""
    found = pd.merge_asof(
        labelled.reset_index(names="event").sort_values("labelled_on", kind="stable"),
        draws[[*dict.fromkeys([*by, "programme"]), "before", "sampled_on"]],
        left_on="labelled_on",
        right_on="before",
        by=by,
        allow_exact_matches=False,
    )
    return found.set_index("event")[["sampled_on", "programme"]]


def _set_garbage_aside(rows: pd.DataFrame, refused: pd.DataFrame, verdicts: Verdicts, config: Config) -> None:
    """Refuse what is left of the files that are mostly garbage, each with the first thing wrong with its file."""
    judged = rows[_ORDER].assign(reason=verdicts.reason, detail=verdicts.detail)
    lines = pd.concat([refused[judged.columns], judged]).sort_values(_ORDER, kind="stable")
    bad = lines[~lines["reason"].isin(["", *HARMLESS])]
    by_file = lines.groupby("source_file").size().to_frame("lines")
    by_file["refused"] = bad.groupby("source_file").size().reindex(by_file.index, fill_value=0)
    garbage = by_file[config.gates.garbage(by_file["lines"], by_file["refused"])]
    first = bad.groupby("source_file").first()
    for name, count in garbage.iterrows():
        example = first.loc[str(name)]
        said = f"{count['refused']} of {count['lines']} refused, the first as {example['reason']}, {example['detail']}"
        verdicts.refuse(rows["source_file"] == name, Reason.MOSTLY_GARBAGE, str(name), pd.Series(said, rows.index))


def _refuse_repeats(events: pd.DataFrame, prior_events: pd.DataFrame, day: dt.date, verdicts: Verdicts) -> None:
    """Let the first of each event_id stand, prior days before this one."""
    prior = prior_events[pd.to_datetime(prior_events["ds"]) < pd.Timestamp(day)]
    prior = prior.sort_values(["ds", *_ORDER], kind="stable")
    columns = ["event_id", *_CONTENT]
    prior = prior[columns].astype(events[columns].dtypes).set_axis(-1 - np.arange(len(prior)), axis=0)
    known = pd.concat([prior, events.loc[verdicts.open, columns]])
    repeated = known["event_id"].duplicated() & (known.index >= 0)
    repeats = known.loc[repeated]
    first = known[~known["event_id"].duplicated()].set_index("event_id")[_CONTENT].loc[repeats["event_id"]]
    first = first.set_axis(repeats.index, axis=0)
    agree = (first == repeats[_CONTENT]) | (first.isna() & repeats[_CONTENT].isna())
    agree["supersedes"] |= repeats["supersedes"].isna()
    same = agree.all(axis=1)
    for which, reason in ((same, Reason.DUPLICATE_EVENT), (~same, Reason.CONFLICTING_EVENT)):
        where = np.zeros(len(events), dtype=bool)
        where[repeats.index[which]] = True
        verdicts.refuse(where, reason, "event_id", events["event_id"])


def _version_before(events: pd.DataFrame, prior_events: pd.DataFrame, day: dt.date, verdicts: Verdicts) -> pd.Series:
    """Of each version of an annotation of Label Studio, the event_id of the newest accepted one before it."""
    columns = ["event_id", "labelled_at"]
    here = events.loc[verdicts.open, columns]
    before = prior_events.loc[pd.to_datetime(prior_events["ds"]) < pd.Timestamp(day), columns]
    before = before.set_axis(-1 - np.arange(len(before)), axis=0)
    known = pd.concat([part.assign(annotation=part["event_id"].map(annotation_of)) for part in (before, here)])
    versions = known[known["annotation"].isin(known.loc[here.index, "annotation"].dropna())]
    versions = versions.sort_values(columns[::-1], kind="stable")
    return versions.groupby("annotation")["event_id"].shift().reindex(events.index)
