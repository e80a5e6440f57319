"""A small platform in a folder of its own, with queues and thresholds as Plumbline would publish them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from include.simulation.platform import Platform
from include.simulation.scenario import Scenario

START = date(2026, 11, 1)


@dataclass(frozen=True)
class Site:
    root: Path
    scenario: Scenario

    @property
    def platform(self) -> Platform:
        """A new one at each use: nothing may hang on what a platform remembers."""
        return Platform(
            self.scenario,
            landing=self.root / "landing",
            queue=self.root / "queue",
            thresholds=self.root / "thresholds.json",
            truth=self.root / "truth",
            start=START,
        )

    def land(self, index: int, **options: bool) -> object:
        return self.platform.land_day(self.day(index), **options)

    def day(self, index: int) -> date:
        return START + timedelta(days=index)

    def folder(self, table: str, index: int) -> Path:
        return self.root / "landing" / table / f"ds={self.day(index)}"

    def read(self, table: str, index: int) -> pd.DataFrame:
        return pd.read_parquet(self.folder(table, index))

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    def export_queue(self, index: int, every: int = 50) -> pd.DataFrame:
        """Queues every so-many-th landed row and every surely suspicious one, by its key alone."""
        scores = self.read("video_scores", index)
        rows = scores[(scores["video_id"] // 4096 % every == 0) | (scores["score"] > 0.9)]
        queue = pd.DataFrame(
            {
                "sample_id": [
                    f"{self.day(index)}/{v}/{p}" for v, p in zip(rows["video_id"], rows["policy"], strict=True)
                ],
                "video_id": rows["video_id"],
                "policy": rows["policy"],
                "market": rows["market"],
                "programme": "audit",
                "guideline_version": "2026-1",
                "overlap": 2,
                "minutes": 1.5,
            }
        )
        folder = self.root / "queue" / f"ds={self.day(index)}"
        folder.mkdir(parents=True, exist_ok=True)
        for market, part in queue.groupby("market"):
            part.to_csv(folder / f"queue_{market}.csv", index=False)
        return queue

    def publish(self, version: int, cells: list[dict[str, object]], default: tuple[float, float] = (0.98, 0.8)) -> None:
        policies = {
            name: {
                "no_score": "allow" if name == "fraud" else "review",
                "default": {"remove_at": default[0], "review_at": default[1]},
            }
            for name in self.scenario.policies
        }
        text = json.dumps({"version": version, "hash": "0" * 64, "policies": policies, "cells": cells})
        (self.root / "thresholds.json").write_text(text)

    def truth(self, index: int) -> pd.DataFrame:
        return pd.read_parquet(self.root / "truth" / f"ds={self.day(index)}")
