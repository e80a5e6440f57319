"""What each column of a newcomer's files is, and what is asked for by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.importing.__main__ import main
from include.importing.columns import ImportRefused
from include.importing.guess import columns_of, policy_of
from include.importing.pair import Columns


@pytest.fixture
def pair(tmp_path: Path):
    def write(scores: str, votes: str) -> tuple[Path, Path]:
        one, other = tmp_path / "s.csv", tmp_path / "v.csv"
        one.write_text(scores)
        other.write_text(votes)
        return one, other

    return write


def test_usual_names_and_values_tell_what_a_column_is(pair) -> None:
    files = pair(
        "item_id,platform,perspective_score,davidson_score,length\n1,x,0.1,0.2,7\n2,x,0.9,,1\n",
        "item_id,rater_id,toxic\n1,7,0\n2,7,1\n",
    )
    scores = {"perspective_score": "perspective", "davidson_score": "davidson"}
    assert columns_of(*files) == Columns("item_id", "platform", scores, "rater_id", "toxic")
    assert policy_of("toxic") == "toxic"
    assert policy_of("label") == policy_of("is violating") == "policy"


def test_a_lone_column_of_numbers_is_the_score_and_a_lone_one_of_answers_the_vote(pair) -> None:
    files = pair("key,country,p\n1,DE,0.1\n2,DE,0.9\n", "key,bad,annotator,seconds\n1,true,ann,3\n2,false,bob,9\n")
    assert columns_of(*files) == Columns("key", "country", {"p": "p"}, "annotator", "bad")


def test_what_is_said_is_taken_and_the_rest_is_still_told(pair) -> None:
    files = pair("a,m,x,y\n1,DE,0.1,0.3\n2,DE,0.9,0.2\n", "a,w,v\n1,ann,1\n2,bob,0\n")
    found = columns_of(*files, market="m", given={"y": "v7"}, rater="w")
    assert found == Columns("a", "m", {"y": "v7"}, "w", "v")


def test_what_cannot_be_told_is_asked_for_by_name_with_the_columns_found(pair) -> None:
    one, other = pair("a,m,x,y\n1,DE,0.1,0.3\n2,DE,0.9,0.2\n", "a,w,v,z\n1,ann,1,0\n2,bob,0,0\n")
    with pytest.raises(ImportRefused) as refused:
        columns_of(one, other)
    assert str(refused.value).splitlines() == [
        "Which column is the market of the scores' items? Say --market COLUMN, or --market =NAME if all items are in "
        "one market.",
        "Which column is who voted? Say --rater COLUMN.",
        "Which column is the answer of a vote? Say --vote COLUMN.",
        "Which columns are classifiers' scores? Say --score COLUMN=VERSION, once for each.",
        f"{one} has 'a', 'm', 'x', 'y'.",
        f"{other} has 'a', 'w', 'v', 'z'.",
    ]


def test_two_that_could_be_it_are_not_decided_between(pair) -> None:
    files = pair("id,market,region,score\n1,a,b,0.1\n2,a,b,0.4\n", "id,rater,vote\n1,r,1\n")
    with pytest.raises(ImportRefused, match="Which column is the market"):
        columns_of(*files)


def test_all_items_in_one_market_take_no_column(pair, tmp_path: Path, capsys) -> None:
    one, other = pair("id,score\n1,0.1\n2,0.4\n", "id,rater,vote\n1,r,1\n2,r,0\n")
    arguments = ["--scores", str(one), "--votes", str(other), "--to", str(tmp_path / "trial")]
    assert main(arguments) == 2
    assert "Which column is the market of the scores' items?" in capsys.readouterr().err
    assert not (tmp_path / "trial").exists()
    assert main([*arguments, "--market", "=world"]) == 0
    said = capsys.readouterr().out
    assert "Columns: item id, market =world, score score as score, rater rater, vote vote" in said
    assert "2 items: world 2" in said


@pytest.mark.parametrize(("name", "text"), [("s.txt", "id"), ("none.csv", None), ("bad.parquet", "no parquet")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, text: str | None) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ImportRefused, match=name):
        columns_of(tmp_path / name, tmp_path / name)
