import pytest

from sluicegate.cli import main
from sluicegate.cli.arguments import build_parser
from sluicegate.cli.output import moment, say_table, seconds
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.ledger.spending import GroupBy


@pytest.mark.parametrize(("text", "wanted"), [("45s", 45), ("30m", 1800), ("12h", 43_200), ("2w", 1_209_600)])
def test_lengths_of_time(text, wanted):
    assert seconds(text, "x") == wanted


@pytest.mark.parametrize("text", ["", "5", "h", "-5h", "1.5h", "5 h", "5y", "9999999d"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(InvalidRequestError):
        seconds(text, "x")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-01-01", 1_767_225_600),
        ("2026-01-01T01:00", 1_767_229_200),
        ("2026-01-01T01:00+01:00", 1_767_225_600),
        ("2026-01-01T00:00:00Z", 1_767_225_600),
    ],
)
def test_moments_are_utc_unless_they_say_otherwise(text, wanted):
    assert moment(text, "x") == wanted


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", ""])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(InvalidRequestError):
        moment(text, "x")


def test_a_table_aligns_and_cannot_be_forged_by_names(capsys):
    say_table(("NAME", "USD"), [("a\n\x1b[2Jb", "1"), (None, "12.5")], right=("USD",))
    heading, evil, none = capsys.readouterr().out.splitlines()
    assert evil.startswith("a\\n\\x1b[2Jb")
    assert heading.endswith(" USD")
    assert none.split() == ["-", "12.5"]
    assert len(heading) == len(evil) == len(none)


def test_spend_offers_every_group_there_is(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["spend", "--by", "nothing"])
    said = capsys.readouterr().err
    assert all(f"{group.value}" in said for group in GroupBy)
    assert said.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["keys"], ["keys", "create", "--plan", "gold"], ["fly"]])
def test_a_wrong_command_is_one_line_and_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
