"""What the README tells a newcomer to type works, as it stands there."""

import re
import shlex
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
ENTER, *TRIED = [(language, text) for language, text in BLOCKS if language in {"sh", "python"}]

# By a word of each block, what it must print.
SHOWN = {
    "from openai": r"scripted[\w-]* 0\.\d+ USD",
    "from anthropic": r"scripted model",
    "curl": r'(?s)data: \{.*"content":.*data: \[DONE\]',
    "spend": r"(?s)total 0\.\d+ USD.*workspace +default +day +50.*strategy",
    "audit verify": r"(?s)success.*all of it holds",
    "keys create": r"^sk-slg-\w+-\w+-\w+",
}


def test_every_block_is_typed_or_a_command_that_exists():
    assert "dev.env" in ENTER[1]
    assert {language for language, _ in BLOCKS} <= {"sh", "python", "console"}
    console = "\n".join(text for language, text in BLOCKS if language == "console")
    for command in re.findall(r"^\./(\S+)", console, re.MULTILINE):
        assert (ROOT / command).stat().st_mode & 0o111, command


@pytest.mark.parametrize(("word", "shown"), SHOWN.items(), ids=SHOWN)
def test_a_block_does_what_it_says(newcomer, word, shown):
    (block,) = [block for block in TRIED if word in block[1]]
    if word == "spend":
        newcomer.type(ENTER[1] + next(text for _, text in TRIED if "curl" in text))
    language, text = block
    typed = text if language == "sh" else f"python -c {shlex.quote(text)}"
    deadline = time.monotonic() + 10
    while not re.search(shown, printed := newcomer.type(ENTER[1] + typed), re.MULTILINE):
        # Usage rows and entries follow their answers within a moment.
        assert word in {"spend", "audit verify"}, printed
        assert time.monotonic() < deadline, printed
        time.sleep(0.2)


def test_no_block_is_left_untried():
    for _, text in TRIED:
        assert sum(word in text for word in SHOWN) == 1, text
