"""Cloud Logging: a year of logs under our own key, and counts of what must not pass unseen."""

from collections.abc import Mapping
from types import MappingProxyType

import pulumi
from pulumi_gcp import logging, projects

from components.base import Component
from components.keys import Keys
from stack.environments import LOG_RETENTION_DAYS
from stack.plan import Plan

METRICS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # CIS Google Cloud Foundation Benchmark, section 2: each with an alert in policies/alerts.yaml.
        "owner-changes": (
            "Project ownership given or taken (CIS 2.4)",
            (
                '(protoPayload.serviceName="cloudresourcemanager.googleapis.com") AND '
                "(ProjectOwnership OR projectOwnerInvitee) OR "
                '(protoPayload.serviceData.policyDelta.bindingDeltas.role="roles/owner")'
            ),
        ),
        "audit-changes": (
            "Audit configuration changed (CIS 2.5)",
            (
                'protoPayload.methodName="SetIamPolicy" AND '
                "protoPayload.serviceData.policyDelta.auditConfigDeltas:*"
            ),
        ),
        "role-changes": (
            "A custom role changed (CIS 2.6)",
            (
                'resource.type="iam_role" AND (protoPayload.methodName="google.iam.admin.v1.CreateRole" OR '
                'protoPayload.methodName="google.iam.admin.v1.DeleteRole" OR '
                'protoPayload.methodName="google.iam.admin.v1.UpdateRole")'
            ),
        ),
        "firewall-changes": (
            "A firewall rule changed (CIS 2.7)",
            (
                'resource.type="gce_firewall_rule" AND (protoPayload.methodName:"compute.firewalls.patch" OR '
                'protoPayload.methodName:"compute.firewalls.insert" OR '
                'protoPayload.methodName:"compute.firewalls.delete")'
            ),
        ),
        "route-changes": (
            "A route changed (CIS 2.8)",
            (
                'resource.type="gce_route" AND (protoPayload.methodName:"compute.routes.delete" OR '
                'protoPayload.methodName:"compute.routes.insert")'
            ),
        ),
        "network-changes": (
            "A network changed (CIS 2.9)",
            (
                'resource.type="gce_network" AND (protoPayload.methodName:"compute.networks.insert" OR '
                'protoPayload.methodName:"compute.networks.patch" OR '
                'protoPayload.methodName:"compute.networks.delete" OR '
                'protoPayload.methodName:"compute.networks.removePeering" OR '
                'protoPayload.methodName:"compute.networks.addPeering")'
            ),
        ),
        "bucket-access-changes": (
            "Who may use a bucket changed (CIS 2.10)",
            'resource.type="gcs_bucket" AND protoPayload.methodName="storage.setIamPermissions"',
        ),
        "key-destructions": (
            "A key version is to be destroyed",
            (
                'protoPayload.serviceName="cloudkms.googleapis.com" AND '
                'protoPayload.methodName="DestroyCryptoKeyVersion"'
            ),
        ),
        "secret-reads-by-others": (
            "A secret read by somebody who is no function of ours",
            (
                'protoPayload.serviceName="secretmanager.googleapis.com" AND '
                'protoPayload.methodName:"SecretManagerService.AccessSecretVersion" '
                'AND NOT protoPayload.authenticationInfo.principalEmail:"sluicegate-"'
            ),
        ),
        "scaling-failures": (
            "Cloud Run could not start an instance",
            (
                'resource.type="cloud_run_revision" AND severity>=ERROR AND '
                '(textPayload:"The request was aborted because there was no available instance" OR '
                'protoPayload.status.message:"Quota exceeded")'
            ),
        ),
        "log-integrity-failures": (
            "The transparency log did not verify",
            'resource.type="cloud_run_revision" AND jsonPayload.event="audit.integrity_failed"',
        ),
        "personal-data-leaks": (
            "Personal data found where it should have been masked",
            'resource.type="cloud_run_revision" AND jsonPayload.event="privacy.leak"',
        ),
        "guardrail-violations": (
            "A guardrail was passed by",
            'resource.type="cloud_run_revision" AND jsonPayload.event="guardrail.violated"',
        ),
    }
)
"""Log-based metrics: what each counts, and Cloud Logging's filter for it."""


class Logs(Component):
    """A bucket for all logs of the project, audit logs of every read and write, and the metrics."""

    def __init__(self, name: str, plan: Plan, keys: Keys, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Logs", name, plan, opts)
        self.bucket = logging.ProjectBucketConfig(
            name,
            project=self.project,
            location=self.region,
            bucket_id=plan.name("logs"),
            description="All logs of the project, for a year (A5)",
            retention_days=LOG_RETENTION_DAYS,
            locked=plan.figures.locked,
            enable_analytics=True,
            cmek_settings={"kms_key_name": keys.keys["logs"].id},
            index_configs=[{"field_path": "jsonPayload.request_id", "type": "INDEX_TYPE_STRING"}],
            opts=self.stateful(*keys.grants["logs"]),
        )
        logging.ProjectSink(
            name,
            name=plan.name("logs"),
            project=self.project,
            description="Everything, into our own bucket",
            destination=self.bucket.id.apply(lambda found: f"logging.googleapis.com/{found}"),
            filter="",
            unique_writer_identity=True,
            opts=self.child,
        )
        projects.IAMAuditConfig(
            f"{name}-audit",
            project=self.project,
            service="allServices",
            audit_log_configs=[{"log_type": kind} for kind in ("ADMIN_READ", "DATA_READ", "DATA_WRITE")],
            opts=self.child,
        )
        for metric, (description, matches) in METRICS.items():
            logging.Metric(
                f"{name}-{metric}",
                name=f"sluicegate/{metric}",
                project=self.project,
                description=description,
                filter=matches,
                metric_descriptor={"metric_kind": "DELTA", "value_type": "INT64", "unit": "1"},
                opts=self.child,
            )
        self.register_outputs({})


def metric_query_name(metric: str) -> str:
    """The name of a log-based metric in PromQL."""
    return f"logging_googleapis_com:user_sluicegate_{metric.replace('-', '_')}"
