"""The review queue for Label Studio: tasks to import, and the labelling configuration that goes with them.

Sources: HumanSignal/label-studio docs, "Basic Label Studio JSON format", and the tags View, Header, HyperText, Text,
Video and Choices.
"""

from __future__ import annotations

import json
from datetime import date
from html import escape
from xml.sax.saxutils import quoteattr

import pandas as pd

from include.contract.tables import TABLES

ASKED_ON = "asked_on"
"""Key in a task's data: the day of the queue that it is of, by which a project can be asked for a day's tasks."""

_DATA = ("video_id", "policy", "market", "guideline_version", "sample_id", "assigned_to")
_SHOWN = ("question", "title", "description")


def tasks(queue: pd.DataFrame, day: date) -> str:
    """The rows of the queue of `day` as a JSON list of tasks, in the queue's order.

    Every value is text: JavaScript would round a 64-bit video_id. What is not shown comes back with the answer.
    """
    rows = [
        {
            "data": {
                "video": row["video_url"],
                "guideline": _guideline(row["guideline_text"], row["guideline_url"]),
                ASKED_ON: str(day),
                **{name: str(row[name]) for name in (*_SHOWN, *_DATA)},
            }
        }
        for row in queue.to_dict("records")
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def _guideline(text: str, address: str) -> str:
    """The guideline as HTML, which has no more of it than paragraphs and a link."""
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in text.splitlines() if part.strip())
    link = escape(address)
    return paragraphs + (f'<p><a href="{link}" target="_blank" rel="noreferrer">{link}</a></p>' if address else "")


def labelling_configuration() -> str:
    """The project's labelling interface. The choices are the contract's decisions.

    Of the texts, the guideline is the configuration's and may be HTML. Title and description are anybody's: text, also
    where they look like an address, which the tool would fetch.
    """
    choices = "".join(
        f'    <Choice value={quoteattr(decision)} hotkey="{number}"/>\n'
        for number, decision in enumerate(TABLES["reviewer_labels"].column("decision").allowed, start=1)
    )
    texts = "".join(
        f'  <Text name="{name}" value="${name}" valueType="text" granularity="word"/>\n'
        for name in ("title", "description")
    )
    return (
        '<View>\n  <Header value="$question"/>\n'
        '  <HyperText name="guideline" value="$guideline" clickableLinks="true" inline="true"/>\n'
        f'  <Video name="video" value="$video"/>\n{texts}'
        '  <Choices name="decision" toName="video" choice="single-radio" required="true" showInline="true">\n'
        f"{choices}  </Choices>\n</View>\n"
    )
