"""deploy/kubernetes as `kubectl kustomize` builds it: valid, restricted, and of one mind with itself and the code."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from django.core.management import get_commands
from prometheus_client import REGISTRY

from relay_project.embedded.state import CHECKOUT
from relay_project.tests.deployment import filled_in, read_by_the_code, refused, variables_in

MANIFESTS = CHECKOUT / "deploy" / "kubernetes"
SECRETS = (MANIFESTS / "secrets.env.example").read_text()
KUBERNETES = "1.32"
FOREIGN = {"Route"}  # kinds that Kubernetes itself does not know
Documents = list[dict[str, Any]]


def build(path: Path | str) -> Documents:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl found: the manifests are not checked")
    done = subprocess.run(["kubectl", "kustomize", MANIFESTS / path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def build_with(component: str, directory: Path) -> Documents:
    """The base with a component, each document valid."""
    base, added = (os.path.relpath(MANIFESTS / path, directory) for path in ("base", component))
    (directory / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [base], "components": [added]}))
    documents = build(directory)
    for one in documents:
        kubernetes_validate.validate(one, KUBERNETES, strict=True)
    return documents


@pytest.fixture(scope="module", params=["base", "overlays/multi-model", "overlays/openshift"])
def built(request: pytest.FixtureRequest) -> Documents:
    return build(request.param)


@pytest.fixture(scope="module")
def multi_model() -> Documents:
    return build("overlays/multi-model")


def kinds(documents: Documents, *wanted: str) -> Documents:
    return [one for one in documents if one["kind"] in wanted]


def named(documents: Documents, kind: str, name: str) -> dict[str, Any]:
    return next(one for one in kinds(documents, kind) if one["metadata"]["name"] == name)


def pods(documents: Documents) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Name, spec and labels of each pod template."""
    for one in kinds(documents, "Deployment", "StatefulSet", "Job"):
        template = one["spec"]["template"]
        yield one["metadata"]["name"], template["spec"], template["metadata"]["labels"]


def asked_by_evals(documents: Documents) -> str:
    """The host that evals send."""
    spec = next(spec for name, spec, _ in pods(documents) if name == "relay-evals")
    values = {one["name"]: one.get("value", "") for one in spec["containers"][0]["env"]}
    return urlsplit(str(values["RELAY_EVAL_URL"])).hostname or ""


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_every_document_is_what_kubernetes_expects(built: Documents) -> None:
    for one in built:
        if one["kind"] not in FOREIGN:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
    assert not kinds(built, "Secret"), "secrets come from outside"


def test_every_pod_meets_the_restricted_standard(built: Documents) -> None:
    for name, spec, _ in pods(built):
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, name
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, name
            assert container["securityContext"].get("readOnlyRootFilesystem") or container["name"] == "vllm", name


def test_every_pod_is_pinned_and_bounded(built: Documents) -> None:
    for name, spec, _ in pods(built):
        for container in spec["containers"]:
            assert re.search(r":v?\d+\.\d+\.\d+$", container["image"]), name
            assert {"cpu", "memory"} <= {*container["resources"]["requests"]}, name
            assert container["resources"]["limits"]["memory"], name


def test_what_selects_pods_finds_them(built: Documents) -> None:
    everything = [labels for _, _, labels in pods(built)]
    for one in kinds(built, "Deployment", "StatefulSet"):
        template = one["spec"]["template"]["metadata"]["labels"]
        assert [selects(one["spec"]["selector"]["matchLabels"], labels) for labels in everything].count(True) == 1
        assert selects(one["spec"]["selector"]["matchLabels"], template)
    for one in kinds(built, "Service"):
        assert any(selects(one["spec"]["selector"], labels) for labels in everything), one["metadata"]["name"]
    for one in kinds(built, "PodDisruptionBudget"):
        assert any(selects(one["spec"]["selector"]["matchLabels"], labels) for labels in everything)
    for one in kinds(built, "NetworkPolicy"):
        wanted = one["spec"]["podSelector"].get("matchLabels", {})
        assert any(selects(wanted, labels) for labels in everything), one["metadata"]["name"]
    for one in kinds(built, "HorizontalPodAutoscaler"):
        target = one["spec"]["scaleTargetRef"]
        assert "replicas" not in named(built, target["kind"], target["name"])["spec"], "two masters of one number"


def test_what_pods_take_their_values_from_exists(built: Documents) -> None:
    maps = {one["metadata"]["name"] for one in kinds(built, "ConfigMap")}
    claims = {one["metadata"]["name"] for one in kinds(built, "PersistentVolumeClaim")}
    for name, spec, _ in pods(built):
        for volume in spec["volumes"]:
            assert volume.get("configMap", {}).get("name") in {None, *maps}, name
            assert volume.get("persistentVolumeClaim", {}).get("claimName") in {None, *claims}, name
        for container in spec["containers"]:
            for source in container.get("envFrom", []):
                assert "secretRef" in source or source["configMapRef"]["name"] in maps, name


def test_nothing_is_reachable_unless_a_policy_says_so(built: Documents) -> None:
    spec = named(built, "NetworkPolicy", "relay-default-deny")["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    outside = named(built, "NetworkPolicy", "relay-web-to-providers")["spec"]["egress"][0]["to"][0]["ipBlock"]
    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= {*outside["except"]}
    asked_by = named(built, "NetworkPolicy", "relay-web-in")["spec"]["ingress"]
    assert [source for rule in asked_by for source in rule["from"]], "from somewhere, not from everywhere"
    assert "monitoring" in str(asked_by), "Prometheus comes in"
    assert asked_by_evals(built) in config(built)["RELAY_ALLOWED_HOSTS"].split(",")


def test_there_is_one_of_what_must_be_one(built: Documents) -> None:
    for name in ("relay-lanes", "relay-beat", "relay-traces"):
        spec = named(built, "Deployment", name)["spec"]
        assert (spec["replicas"], spec["strategy"]["type"]) == (1, "Recreate")


def test_a_web_pod_may_take_the_time_that_its_streams_need(built: Documents) -> None:
    pod = named(built, "StatefulSet", "relay-web")["spec"]["template"]["spec"]
    command = json.loads((CHECKOUT / "Dockerfile").read_text().rpartition("\nCMD")[2].replace("\\\n", " "))
    streams = int(command[command.index("--timeout-graceful-shutdown") + 1])
    assert pod["terminationGracePeriodSeconds"] > int(config(built)["RELAY_DRAIN_S"]) + streams
    (container,) = pod["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        sent = {header["name"]: header["value"] for header in container[probe]["httpGet"]["httpHeaders"]}
        assert sent["Host"] in config(built)["RELAY_ALLOWED_HOSTS"].split(",")
    assert container["readinessProbe"]["httpGet"]["path"] == "/v1/readyz"
    assert {"name": "spool", "mountPath": "/var/lib/relay/spool"} in container["volumeMounts"]


def test_every_command_of_manage_py_exists(built: Documents) -> None:
    words = (word for _, spec, _ in pods(built) for one in spec["containers"] for word in one.get("args", []))
    said = " ".join(words)
    commands = {*re.findall(r"manage\.py (\w+)", said)}
    assert {"migrate_schemas", "seed", "runworker", "trace_writer"} <= commands <= {*get_commands()}


def test_settings_accept_the_values_and_nobody_ignores_one() -> None:
    values = config(build("base"))
    assert {*values, *variables_in(SECRETS)} <= read_by_the_code()
    image = {"RELAY_SPOOL_DIR": "/var/lib/relay/spool"}
    assert refused({**image, **values, **filled_in(variables_in(SECRETS))}) == ""


def config(documents: Documents) -> dict[str, str]:
    (found,) = [one for one in kinds(documents, "ConfigMap") if one["metadata"]["name"].startswith("relay-config")]
    data: dict[str, str] = found["data"]
    return data


def test_the_catalogue_names_the_model_servers_as_they_are(multi_model: Documents) -> None:
    (rows,) = [one for one in kinds(multi_model, "ConfigMap") if one["metadata"]["name"].startswith("relay-catalogue")]
    catalogue = yaml.safe_load(rows["data"]["catalogue.yaml"])
    for slug, gpus in {"vllm-1b": 1, "vllm-3b": 2}.items():
        service, server = named(multi_model, "Service", slug), named(multi_model, "Deployment", slug)
        (container,) = server["spec"]["template"]["spec"]["containers"]
        said = dict(word.removeprefix("--").split("=", 1) for word in container["args"])
        where = f"{slug}.{service['metadata']['namespace']}.svc:{service['spec']['ports'][0]['port']}"
        assert catalogue["providers"][slug]["base_url"] == f"http://{where}/v1"
        row = catalogue["deployments"][slug]
        assert (row["model"], row["capacity"]) == (said["served-model-name"], int(said["max-num-seqs"]))
        assert row["context_window"] == int(said["max-model-len"])
        assert container["resources"]["limits"]["nvidia.com/gpu"] == int(said["tensor-parallel-size"]) == gpus


def test_only_web_may_speak_to_the_models(multi_model: Documents) -> None:
    (rule,) = named(multi_model, "NetworkPolicy", "vllm")["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": "web"}}}]


def test_the_world_gets_no_metrics(multi_model: Documents) -> None:
    (rule,) = named(multi_model, "Ingress", "relay")["spec"]["rules"]
    assert {path["path"] for path in rule["http"]["paths"]} == {"/v1", "/health", "/api", "/admin", "/static"}


def test_only_the_trace_writer_gets_out_to_a_collector(tmp_path: Path) -> None:
    """The component names the same place twice: for the programs, and for the network."""
    mine = build_with("components/otlp", tmp_path)
    policy = named(mine, "NetworkPolicy", "relay-traces-to-collector")["spec"]
    reached = [name for name, _, labels in pods(mine) if selects(policy["podSelector"]["matchLabels"], labels)]
    [rule] = policy["egress"]
    [source], [port] = rule["to"], rule["ports"]
    namespace = source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    address = urlsplit(config(mine)["OTEL_EXPORTER_OTLP_ENDPOINT"])
    assert reached == ["relay-traces"]
    assert (address.hostname or "").split(".")[1] == namespace and address.port == port["port"]
    assert config(mine)["RELAY_WEB_PROCESSES"] == config(build("base"))["RELAY_WEB_PROCESSES"]


def test_web_may_scale_on_what_is_in_flight(tmp_path: Path) -> None:
    (plain,) = kinds(build("base"), "HorizontalPodAutoscaler")
    (scaler,) = kinds(build_with("components/in-flight", tmp_path), "HorizontalPodAutoscaler")
    *before, added = scaler["spec"]["metrics"]
    assert before == plain["spec"]["metrics"], "the CPU counts as before"
    values = yaml.safe_load((MANIFESTS / "components/in-flight/adapter-values.yaml").read_text())
    (rule,) = values["rules"]["custom"]
    assert added["pods"]["metric"]["name"] == rule["name"]["as"]
    assert rule["seriesQuery"].partition("{")[0] in {metric.name for metric in REGISTRY.collect()}


def test_openshift_chooses_uid_and_group() -> None:
    for _, spec, _ in pods(build("overlays/openshift")):
        assert {*spec["securityContext"]} == {"runAsNonRoot", "seccompProfile"}


def test_an_overlay_of_ones_own_as_operations_md_writes_it(tmp_path: Path) -> None:
    section = (CHECKOUT / "OPERATIONS.md").read_text().split("An overlay of your own", 1)[1]
    text = dedent(section.split("\n\n")[1]).replace("path/to/deploy/kubernetes", os.path.relpath(MANIFESTS, tmp_path))
    (tmp_path / "kustomization.yaml").write_text(text)
    mine = build(tmp_path)
    images = {one["image"] for _, spec, _ in pods(mine) for one in spec["containers"] if one["name"] == "relay"}
    assert images == {"registry.example.org/relay:0.1.0"}
    assert config(mine)["RELAY_ALLOWED_HOSTS"].split(",") == ["relay.example.org", "localhost", asked_by_evals(mine)]
    assert config(mine)["RELAY_BEHIND_TLS_PROXY"] == "1", "the rest of the base's values stays"
    ingress = named(mine, "Ingress", "relay")["spec"]
    assert ingress["rules"][0]["host"] == ingress["tls"][0]["hosts"][0] == "relay.example.org"
