"""docs/glossary.md: in order, short, and with a word for each kind of thing the contract names."""

from __future__ import annotations

import re

from include.config.settings import PROJECT_ROOT
from include.contract.tables import PROGRAMMES

ROWS = re.findall(
    r"^\| (.+?) \| (.+) \|$", (PROJECT_ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), flags=re.MULTILINE
)[1:]
ASKED_FOR = """cell, stratum, inclusion probability, certificate, goal, target, precision, recall, prevalence,
violative view rate, sensitivity, specificity, consensus, golden label, maturity, final, provisional, design, draw,
programme, gate, guardrail, proposal, version, ledger, serving file, canary, watch, alarm, override, champion,
challenger, backfill, roll-back, freeze, forecast, refusal, pooling, window"""


def test_the_terms_stand_in_order_and_once() -> None:
    terms = [term.strip("`").lower() for term, _ in ROWS]
    assert len(terms) > 60
    assert terms == sorted(set(terms), key=lambda term: term.replace("_", " "))


def test_every_term_is_said_in_one_or_two_whole_sentences() -> None:
    for term, meaning in ROWS:
        sentences = re.split(r"(?<=[.!?]) (?=[A-Z`])", meaning)
        assert len(sentences) <= 2, term
        assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in sentences), term


def test_no_term_that_a_newcomer_meets_is_missing() -> None:
    terms = {term.strip("`") for term, _ in ROWS}
    assert {" ".join(term.split()) for term in ASKED_FOR.split(",")} - terms == set()
    assert {name.replace("_", " ") for name in PROGRAMMES} - {
        term.removesuffix(" label").removesuffix(" programme") for term in terms
    } == set()
