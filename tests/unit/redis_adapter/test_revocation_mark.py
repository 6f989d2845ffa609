"""Who revokes a key and who refuses it must mean the same field, though neither may import the other."""

import pytest

from sluicegate.adapters.redis.announcements import RedisAnnouncements
from sluicegate.admission.counters import revocation_field


class Recorder:
    def __init__(self):
        self.commands = []

    async def execute(self, *args):
        self.commands.append(args)


@pytest.mark.parametrize("key_id", ["key_ab12cd34", "a|b", "ümlaut", "a b\n", "a@b/c:d+e%f"])
async def test_the_mark_of_a_revocation_is_the_field_that_admission_asks_for(key_id):
    client = Recorder()
    await RedisAnnouncements(client).revoked("acme", key_id)
    assert client.commands[0] == ("HSET", "slg:{acme}:counters", revocation_field(key_id).decode(), "0")
