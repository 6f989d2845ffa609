"""What the complexity classifier gets to see: the question asked now, bounded."""

import pytest

from sluicegate.completions.pipeline.prompt_sample import prompt_sample


@pytest.mark.parametrize(
    ("body", "sample"),
    [
        ({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]}, "Q"),
        (
            {
                "messages": [
                    {"role": "user", "content": "old"},
                    {"role": "assistant", "content": "A"},
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                    },
                    {"role": "tool", "content": "T"},
                ]
            },
            "a\nb",
        ),
        ({"input": "straight"}, "straight"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "Q"}]}]}, "Q"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, ""),
        ({"messages": [{"role": "assistant", "content": "only"}]}, "only"),
        ({}, ""),
    ],
)
def test_the_last_user_turn_is_sampled(body, sample):
    assert prompt_sample(body, 100) == sample


def test_a_long_one_is_cut_in_the_middle():
    sample = prompt_sample({"input": "a" * 10_000 + "z" * 10_000}, 100)
    assert sample == "a" * 50 + "z" * 50
