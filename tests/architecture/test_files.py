import re

MOST_LINES = 400
MOST_TEST_LINES = 500


def test_no_file_is_too_long_to_read(root):
    long = {}
    for folder, most in (
        ("shared/sluicegate", MOST_LINES),
        ("functions", MOST_LINES),
        ("infra", MOST_LINES),
        ("scripts", MOST_LINES),
        ("tests", MOST_TEST_LINES),
    ):
        for path in (root / folder).rglob("*"):
            if path.suffix in {".py", ".lua", ".sh", ".toml"}:
                lines = len(path.read_text("utf-8").splitlines())
                if lines > most:
                    long[str(path.relative_to(root))] = lines
    assert long == {}


def test_links_between_pages_lead_somewhere(root, documents):
    broken = []
    for page, text in documents.items():
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, fragment = target.partition("#")
            file = (root / page).parent / path if path else root / page
            if not file.exists() or (fragment and fragment not in _anchors(file.read_text("utf-8"))):
                broken.append((page, target))
    assert broken == []


def test_decisions_are_dated_listed_and_name_their_cost(root, documents):
    records = sorted((root / "docs" / "decisions").glob("2*.md"))
    assert records
    for record in records:
        text = record.read_text("utf-8")
        assert re.match(r"\d{4}-\d{2}-\d{2}-[a-z-]+$", record.stem)
        assert f"\n{record.stem[:10]} · " in text
        assert "\n## What it costs\n" in text, record.name
        assert record.name in documents["docs/decisions/README.md"], record.name


def _anchors(text):
    """The fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
