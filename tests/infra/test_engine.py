"""The stand-in that the real engine asks, and the policy pack's way in."""

import shutil
from types import SimpleNamespace

from google.protobuf import struct_pb2

from policies.pack import environment_of, stack_of
from preview.engine import StandIn, engine_run
from preview.recorder import ROOT

URN = "urn:pulumi:dev::sluicegate::sluicegate:infra:Topics$gcp:pubsub/topic:Topic::topic-events"


def asked(**inputs):
    properties = struct_pb2.Struct()
    properties.update(inputs)
    return SimpleNamespace(urn=URN, news=properties, properties=properties)


def test_it_takes_what_google_would_take():
    answer = StandIn().Check(asked(name="sluicegate-events", messageRetentionDuration="604800s"), None)
    assert list(answer.failures) == []
    assert answer.inputs["name"] == "sluicegate-events"


def test_it_refuses_what_google_would_refuse():
    answer = StandIn().Check(asked(name="sluicegate-events", messageRetentionDuration="7d"), None)
    assert [each.reason for each in answer.failures] == [
        "messageRetentionDuration: '7d' is not a duration in seconds such as 300s"
    ]


def test_it_refuses_what_nobody_has_mapped():
    request = asked(name="x")
    request.urn = "urn:pulumi:dev::sluicegate::gcp:spanner/instance:Instance::x"
    (failure,) = StandIn().Check(request, None).failures
    assert "no entry in infra/conformance/mapping.py" in failure.reason


def test_what_it_makes_has_its_name_at_google():
    made = StandIn().Create(asked(name="sluicegate-events", project="p"), None)
    assert made.id == "projects/p/topics/sluicegate-events"


def test_the_pack_sees_through_the_engine_s_wrappers():
    inputs = {"labels": {"environment": "staging"}, "denies": [{"protocol": "all"}]}
    given = [("gcp:compute/firewall:Firewall", "x", inputs)]
    assert environment_of(given) == "staging"

    def wrap(value):
        if isinstance(value, dict):
            return Mapping({key: wrap(each) for key, each in value.items()})
        return Sequence([wrap(each) for each in value]) if isinstance(value, list) else value

    class Mapping:
        def __init__(self, value):
            self.value = value

        def items(self):
            return self.value.items()

    class Sequence:
        def __init__(self, value):
            self.value = value

        def __iter__(self):
            return iter(self.value)

    stack = stack_of([(given[0][0], "x", wrap(inputs))], "staging", ROOT / "functions")
    assert stack.resources[0].inputs == inputs


# The command is on few machines; where it is, the whole program goes through it.
if shutil.which("pulumi"):

    def test_the_real_engine_takes_the_program():
        printed, checked = engine_run("dev")
        assert checked > 300
        assert "to create" in printed
