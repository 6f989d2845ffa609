"""What import-linter's contracts (pyproject.toml) cannot say about who may import whom."""

import ast
import sys

CAPABILITIES = (
    "identity",
    "routing",
    "admission",
    "caching",
    "ledger",
    "events",
    "audit",
    "privacy",
    "reliability",
    "completions",
)
PIPELINE = "sluicegate.completions.pipeline"

# What an adapter may know of the capability it serves: its ports, and the types that pass through them.
SHARED_WITH_ADAPTERS = {
    "sluicegate.admission.counters",
    "sluicegate.admission.errors",
    "sluicegate.admission.ports",
    "sluicegate.admission.replies",
    "sluicegate.admission.types",
    "sluicegate.audit.errors",
    "sluicegate.audit.keys",  # what a signer of checkpoints is
    "sluicegate.audit.ports",
    "sluicegate.audit.verify.source",
    "sluicegate.caching.errors",
    "sluicegate.caching.ports",
    "sluicegate.caching.types",
    "sluicegate.completions.pipeline.idempotency",  # the pipeline's port for remembered answers
    "sluicegate.completions.pipeline.ports",
    "sluicegate.completions.types",
    "sluicegate.identity.api_keys",  # the key record that a key store keeps
    "sluicegate.identity.ports",
    "sluicegate.identity.principal",
    "sluicegate.events.ports",
    "sluicegate.ledger.indexes",  # where Firestore's documents lie, declared once for adapter and infra
    "sluicegate.ledger.ports",
    "sluicegate.ledger.spending",  # what a spend report asks for and answers
    "sluicegate.ledger.usage",
    "sluicegate.routing.ports",
    "sluicegate.routing.types",
}

# Reading and writing belongs to adapters and edges. `socket` and `ssl` types, too, would tie a rule to them.
INPUT_OUTPUT = {
    "fcntl", "google", "hiredis", "http.client", "httptools", "lupa", "redis", "socket", "sqlite3", "ssl",
    "starlette", "subprocess", "tempfile", "urllib.request", "uvicorn", "uvloop",
}  # fmt: skip


def _modules(package, source):
    """The modules of ours that `source` imports, names within a module cut off."""
    known = {each.name for each in package}
    ours = {name for name in source.imports if name == "sluicegate" or name.startswith("sluicegate.")}
    return {name if name in known else name.rpartition(".")[0] for name in ours}


def _capability(name):
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in CAPABILITIES else None


def _within(name, folder):
    return name == folder or name.startswith(f"{folder}.")


def test_adapters_know_ports_and_types_only(package):
    wrong = {
        (source.name, module)
        for source in package
        if _within(source.name, "sluicegate.adapters")
        for module in _modules(package, source)
        if _capability(module) and module not in SHARED_WITH_ADAPTERS and "." in module.partition(".")[2]
    }
    assert wrong == set()


def test_no_allowance_is_left_over(package):
    modules = {source.name for source in package}
    assert SHARED_WITH_ADAPTERS & modules, "the list names nothing that exists"
    used = {
        module
        for source in package
        if _within(source.name, "sluicegate.adapters")
        for module in _modules(package, source)
    }
    ports = {name for name in modules if name.endswith((".ports", ".types"))}
    assert SHARED_WITH_ADAPTERS - ports - used - {PIPELINE + ".ports"} == set()


def test_an_adapter_serves_one_capability(package):
    for source in package:
        if _within(source.name, "sluicegate.adapters"):
            served = {_capability(module) for module in _modules(package, source)} - {None}
            assert len(served) <= 1, f"{source.path} serves {sorted(served)}: split it"


def test_only_the_composer_knows_the_composer(package):
    wrong = [
        source.name
        for source in package
        if _capability(source.name)
        and not _within(source.name, PIPELINE)
        and any(_within(module, PIPELINE) for module in source.imports)
    ]
    assert wrong == []


def test_rules_and_services_do_no_input_or_output(package):
    wrong = {
        (source.name, module)
        for source in package
        if _capability(source.name) or _within(source.name, "sluicegate.kernel")
        for module in source.imports
        if any(_within(module, each) for each in INPUT_OUTPUT)
    }
    assert wrong == set()


def test_only_the_settings_read_the_environment(package):
    readers = {
        source.name
        for source in package
        for node in ast.walk(source.tree)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "putenv"})
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and any(alias.name in {"environ", "environb", "getenv", "putenv"} for alias in node.names)
        )
    }
    assert readers == {"sluicegate.settings"}


def test_functions_know_wiring_and_edges_only(sources):
    for source in sources("functions"):
        ours = {module for module in source.imports if _within(module, "sluicegate")}
        assert all(
            any(_within(module, f"sluicegate.{edge}") for edge in ("wiring", "web", "graphql", "rpc"))
            for module in ours
        ), f"{source.path} imports {sorted(ours)}"


# Declarations that the infrastructure is made from, and how files of them are read.
DECLARATIONS = (
    "sluicegate.kernel.errors",
    "sluicegate.kernel.policy_files",
    "sluicegate.ledger.indexes",
    "sluicegate.manifest",
    "sluicegate.reliability.policy",
    "sluicegate.settings",
)


def test_infra_knows_declarations_only(sources):
    for source in sources("infra"):
        ours = {module for module in source.imports if _within(module, "sluicegate")} - {
            "sluicegate",
            "sluicegate.ledger",
        }
        assert all(any(_within(module, each) for each in DECLARATIONS) for module in ours), (
            f"{source.path} imports {sorted(ours)}"
        )


def test_nobody_imports_infra(package, sources):
    names = {source.path.stem for source in sources("infra")} | {"infra", "pulumi", "pulumi_gcp"}
    for source in (*package, *sources("functions")):
        assert not {module.partition(".")[0] for module in source.imports} & names, source.path


def test_no_file_of_infra_hides_the_standard_library(sources):
    # Pulumi puts the folder first on the path: a file called `secrets.py` would break the interpreter.
    stems = {source.path.stem for source in sources("infra")} - {"__main__"}
    assert not stems & sys.stdlib_module_names


def test_the_infrastructure_program_stays_short(root):
    assert len((root / "infra" / "__main__.py").read_text().splitlines()) < 40
