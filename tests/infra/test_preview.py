"""What scripts/preview writes."""

import xml.etree.ElementTree as ET

import pytest

from compliance import rules
from preview.__main__ import main, preview
from preview.cost import Prices, estimate
from preview.diagram import diagram
from preview.recorder import STACKS, Resource

PAGES = {"resources.md", "iam.md", "doors.md", "alerts.md", "cost.md", "diagram.svg"}


@pytest.mark.parametrize("stack", STACKS)
def test_it_writes_its_pages(stack, tmp_path, capsys):
    assert main([stack, str(tmp_path)]) == 0
    assert {each.name for each in tmp_path.iterdir()} == PAGES
    assert "0 broken, 0 that Google would refuse" in capsys.readouterr().out
    iam = (tmp_path / "iam.md").read_text("utf-8")
    assert "| sluicegate-gateway | secretmanager.secretAccessor | secret sluicegate-redis-url |" in iam
    assert "only-our-database" in iam
    # Every grant has its reason.
    rows = [line for line in iam.partition("## Custom roles")[0].splitlines() if line.startswith("| ")][1:]
    assert all(row.split("|")[5].strip() for row in rows)
    doors = (tmp_path / "doors.md").read_text("utf-8")
    assert ":443 | the internet | TLS 1.3" in doors
    assert "of the answers" not in doors
    assert "| at-most-instances-gateway | error | > 0.99" in (tmp_path / "alerts.md").read_text("utf-8")


def test_a_broken_rule_ends_it_with_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rules, "RULES", {**rules.RULES, "never": lambda _: iter(["as it happens"])})
    assert preview("dev", tmp_path) == 1
    assert "wrong  never: as it happens" in capsys.readouterr().out


def test_what_google_would_refuse_ends_it_with_1(tmp_path, monkeypatch, capsys):
    from preview import recorder

    real = recorder.Record.new_resource

    def spoil(self, args):
        answer = real(self, args)
        if args.name == "topic-events":
            last = self.resources.pop()
            self.resources.append(Resource(last.type, last.name, {**last.inputs, "colour": "blue"}))
        return answer

    monkeypatch.setattr(recorder.Record, "new_resource", spoil)
    assert preview("dev", tmp_path) == 1
    assert "topic-events: colour: Topic has no field colour" in capsys.readouterr().out


def test_an_unknown_stack_is_told(capsys):
    assert main(["moon"]) == 2
    assert "dev|staging|production" in capsys.readouterr().err


def test_the_diagram_is_well_formed_and_shows_every_function(plan):
    root = ET.fromstring(diagram(plan))  # noqa: S314 - our own
    texts = {each.text for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {each.name for each in plan.manifests} <= texts
    assert "Redis" in texts
    boxes = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("class")]
    places = [tuple(float(each.get(side)) for side in ("x", "y", "width", "height")) for each in boxes]
    for one, (x, y, wide, high) in enumerate(places):
        for x2, y2, wide2, high2 in places[one + 1 :]:
            assert x + wide <= x2 or x2 + wide2 <= x or y + high <= y2 or y2 + high2 <= y


def test_cost_grows_with_the_environment_and_the_load(production, production_plan):
    prices = Prices()
    lines = {each.what: each for each in estimate(production_plan, production.resources, prices)}
    gateway = lines["sluicegate-gateway"]
    # Three instances of 1.5 vCPU and 0.75 GiB, all the time.
    assert gateway.idle == pytest.approx(3 * 730 * 3600 * (1.5 * 0.000018 + 0.75 * 0.000002))
    job = lines["sluicegate-inference"]
    assert job.idle == 0
    assert job.load == pytest.approx(40 * 3600 * (8 * 0.000018 + 32 * 0.000002 + 0.0001867))
    assert lines["Redis cluster"].idle == pytest.approx(6 * 730 * 0.1605)


def test_every_price_has_a_source():
    for name, price in Prices().prices.items():
        assert price["source"].startswith("https://cloud.google.com/"), name
        assert isinstance(price["checked"], bool)
