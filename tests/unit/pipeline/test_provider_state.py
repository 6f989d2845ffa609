"""State at a provider is everyone's: references to it are refused."""

import pytest

from sluicegate.completions.pipeline.provider_state import refuse_references
from sluicegate.kernel.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"input": ["x", {"type": "item_reference", "id": "msg_1"}]}, "input.1"),
    ],
)
def test_a_reference_is_refused_by_name(body, param):
    with pytest.raises(InvalidRequestError) as error:
        refuse_references(body)
    assert error.value.param == param


def test_a_request_that_stands_by_itself_passes():
    refuse_references({"input": "hello", "background": False, "previous_response_id": None})
    refuse_references({"input": [{"type": "message", "role": "user", "content": "x"}]})
