"""The gateway as a Cloud Run service, built from its `function.toml`."""

import pulumi
from pulumi_gcp import cloudrunv2, projects, secretmanager, serviceaccount

from sluicegate import settings
from sluicegate.manifest import Manifest
from stack_config import SecretReference, StackConfig, StackConfigurationError

DATA_FOLDER = "/data"
DATA_BYTES = "64Mi"


class GatewayService(pulumi.ComponentResource):
    """A service with its own identity, its secrets by reference, and no way in but the load balancer.

    Args:
        name: of the component in the stack.
        manifest: the deployable, from its `function.toml`.
        config: the stack's.

    Raises:
        StackConfigurationError: a secret or variable is missing, or is none that the function reads.
    """

    def __init__(
        self,
        name: str,
        manifest: Manifest,
        config: StackConfig,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("sluicegate:GatewayService", name, None, opts)
        _check(manifest, config)
        self._child = pulumi.ResourceOptions(parent=self)
        self._config = config
        resource_name = f"sluicegate-{manifest.name}"
        self.account = serviceaccount.Account(
            name,
            account_id=resource_name,
            project=config.project,
            display_name=f"Sluicegate {manifest.name}",
            opts=self._child,
        )
        grants: list[pulumi.Resource] = [
            self._role(f"{name}-{role.rpartition('/')[2]}", role) for role in manifest.identity.roles
        ]
        grants += [self._access(f"{name}-{key}", secret) for key, secret in config.secrets.items()]
        self.service = cloudrunv2.Service(
            name,
            name=resource_name,
            project=config.project,
            location=config.region,
            description=manifest.description,
            ingress="INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
            # The gateway itself identifies every caller; only the load balancer reaches it.
            invoker_iam_disabled=manifest.trigger.public,
            default_uri_disabled=True,
            deletion_protection=config.environment == "production",
            template=_template(manifest, config, self.account.email),
            opts=pulumi.ResourceOptions(parent=self, depends_on=grants),
        )
        self.register_outputs({"service": self.service.name, "account": self.account.email})

    def _role(self, name: str, role: str) -> projects.IAMMember:
        return projects.IAMMember(
            name, project=self._config.project, role=role, member=self._member(), opts=self._child
        )

    def _access(self, name: str, secret: SecretReference) -> secretmanager.SecretIamMember:
        return secretmanager.SecretIamMember(
            name,
            project=self._config.project,
            secret_id=secret.name,
            role="roles/secretmanager.secretAccessor",
            member=self._member(),
            opts=self._child,
        )

    def _member(self) -> pulumi.Output[str]:
        return pulumi.Output.concat("serviceAccount:", self.account.email)


def _check(manifest: Manifest, config: StackConfig) -> None:
    schema = getattr(settings, manifest.settings.name).model_fields
    missing = sorted(set(manifest.secrets.required) - config.secrets.keys())
    if missing:
        raise StackConfigurationError(f"sluicegate:stack.secrets: {', '.join(missing)} must name a secret")
    undeclared = sorted(config.secrets.keys() - {*manifest.secrets.required, *manifest.secrets.optional})
    if undeclared:
        raise StackConfigurationError(
            f"sluicegate:stack.secrets: {', '.join(undeclared)}: not in the [secrets] of {manifest.name}'s "
            "function.toml; add it there or remove it here"
        )
    secret = {*manifest.secrets.required, *manifest.secrets.optional}
    for variable in config.variables:
        if variable in secret:
            raise StackConfigurationError(
                f"sluicegate:stack.variables.{variable}: is a secret; store it in Secret Manager and name it "
                "under secrets"
            )
        if variable.lower() not in schema:
            raise StackConfigurationError(
                f"sluicegate:stack.variables.{variable}: {manifest.settings.name} has no such setting"
            )


def _template(
    manifest: Manifest, config: StackConfig, account: pulumi.Output[str]
) -> cloudrunv2.ServiceTemplateArgs:
    resources = manifest.resources
    return cloudrunv2.ServiceTemplateArgs(
        service_account=account,
        timeout=f"{resources.timeout_seconds}s",
        max_instance_request_concurrency=resources.concurrency,
        scaling=cloudrunv2.ServiceTemplateScalingArgs(
            min_instance_count=resources.min_instances, max_instance_count=resources.max_instances
        ),
        containers=[_container(manifest, config)],
        volumes=[
            cloudrunv2.ServiceTemplateVolumeArgs(
                name="data",
                empty_dir=cloudrunv2.ServiceTemplateVolumeEmptyDirArgs(
                    medium="MEMORY", size_limit=DATA_BYTES
                ),
            )
        ],
        vpc_access=None
        if config.network is None
        else cloudrunv2.ServiceTemplateVpcAccessArgs(
            egress="PRIVATE_RANGES_ONLY",
            network_interfaces=[
                cloudrunv2.ServiceTemplateVpcAccessNetworkInterfaceArgs(
                    network=config.network.network, subnetwork=config.network.subnetwork
                )
            ],
        ),
    )


def _container(manifest: Manifest, config: StackConfig) -> cloudrunv2.ServiceTemplateContainerArgs:
    resources = manifest.resources
    return cloudrunv2.ServiceTemplateContainerArgs(
        image=config.image,
        commands=["python", f"functions/{manifest.name}/main.py"],
        ports=cloudrunv2.ServiceTemplateContainerPortsArgs(container_port=8080),
        resources=cloudrunv2.ServiceTemplateContainerResourcesArgs(
            limits={"cpu": resources.cpu, "memory": resources.memory},
            cpu_idle=not resources.cpu_always_allocated,
            startup_cpu_boost=True,
        ),
        envs=_variables(config),
        volume_mounts=[
            cloudrunv2.ServiceTemplateContainerVolumeMountArgs(name="data", mount_path=DATA_FOLDER)
        ],
        # Traffic only once Redis answers; a restart only when the process itself does not.
        startup_probe=cloudrunv2.ServiceTemplateContainerStartupProbeArgs(
            http_get=cloudrunv2.ServiceTemplateContainerStartupProbeHttpGetArgs(path="/readyz"),
            period_seconds=1,
            failure_threshold=30,
        ),
        liveness_probe=cloudrunv2.ServiceTemplateContainerLivenessProbeArgs(
            http_get=cloudrunv2.ServiceTemplateContainerLivenessProbeHttpGetArgs(path="/healthz"),
            period_seconds=10,
            failure_threshold=3,
        ),
    )


def _variables(config: StackConfig) -> list[cloudrunv2.ServiceTemplateContainerEnvArgs]:
    plain = {
        "HOST": "0.0.0.0",  # noqa: S104 - within the container's own network
        # The load balancer appends the caller's address and then its own to x-forwarded-for.
        "TRUSTED_PROXIES": "2",
        **config.variables,
        "ENVIRONMENT": config.environment,
        "GCP_PROJECT_ID": config.project,
        "SLUICEGATE_DATA_DIR": DATA_FOLDER,
    }
    return [
        *(
            cloudrunv2.ServiceTemplateContainerEnvArgs(name=name, value=value)
            for name, value in sorted(plain.items())
        ),
        *(
            cloudrunv2.ServiceTemplateContainerEnvArgs(
                name=name,
                value_source=cloudrunv2.ServiceTemplateContainerEnvValueSourceArgs(
                    secret_key_ref=cloudrunv2.ServiceTemplateContainerEnvValueSourceSecretKeyRefArgs(
                        secret=reference.name, version=reference.version
                    )
                ),
            )
            for name, reference in sorted(config.secrets.items())
        ),
    ]
