"""Who hears that policies changed."""

import asyncio
import hashlib
from pathlib import Path

from sluicegate.adapters.local.policy_record import FilePolicyRecord
from sluicegate.audit.policy_changes import PoliciesInForce, PolicyChanges
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.events import EventPublisher
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.wiring.places import POLICY_RECORD_NAME


async def tell_policies(
    data: Path, policies: PolicySet, events: EventPublisher, clock: Clock, tenant: str
) -> bool:
    """Tell the log if `policies` are not those it was told of last; whether they were new.

    Raises:
        As `PolicyChanges.tell`.
    """
    changes = PolicyChanges(FilePolicyRecord(data / POLICY_RECORD_NAME), events, clock, tenant)
    return await changes.tell(await asyncio.to_thread(_in_force, policies))


def _in_force(policies: PolicySet) -> PoliciesInForce:
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in policies.files()}
    return PoliciesInForce(policies.version(), digests)
