"""The review queue for Label Studio: tasks to import, and the labelling configuration that goes with them.

Sources: HumanSignal/label-studio docs, "Basic Label Studio JSON format", and the tags View, Header, Video and Choices.
"""

from __future__ import annotations

import json
from xml.sax.saxutils import quoteattr

import pandas as pd

from include.config.model import Config
from include.contract.tables import TABLES

_DATA = ("video_id", "policy", "market", "guideline_version", "sample_id", "assigned_to")


def tasks(queue: pd.DataFrame, config: Config) -> str:
    """The queue's rows as a JSON list of tasks, in the queue's order.

    Every value is text: JavaScript would round a 64-bit video_id. `video` and `question` are what is shown; the rest
    comes back with the answer.
    """
    rows = [
        {
            "data": {
                "video": config.review_tool.video_url.format(video_id=row["video_id"]),
                "question": f"{config.policies[row['policy']].description}?",
                **{name: str(row[name]) for name in _DATA},
            }
        }
        for row in queue.to_dict("records")
    ]
    return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"


def labelling_configuration() -> str:
    """The project's labelling interface. The choices are the contract's decisions."""
    choices = "".join(
        f'    <Choice value={quoteattr(decision)} hotkey="{number}"/>\n'
        for number, decision in enumerate(TABLES["reviewer_labels"].column("decision").allowed, start=1)
    )
    return (
        '<View>\n  <Header value="$question"/>\n  <Video name="video" value="$video"/>\n'
        '  <Choices name="decision" toName="video" choice="single-radio" required="true" showInline="true">\n'
        f"{choices}  </Choices>\n</View>\n"
    )
