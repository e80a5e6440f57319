"""The pre-commit configuration fetches nothing, and runs what the Makefile has."""

from __future__ import annotations

import yaml

from include.config.settings import PROJECT_ROOT
from tests.docs.pages import make_targets


def test_hooks_are_local_and_run_make_lint() -> None:
    declared = yaml.safe_load((PROJECT_ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in declared["repos"]] == ["local"]
    (hook,) = declared["repos"][0]["hooks"]
    assert hook["entry"] == "make lint"
    assert hook["language"] == "system"
    assert hook["pass_filenames"] is False
    assert "lint" in make_targets()
