"""The rows that routing is made of. Staff and tenants edit them; requests see them as a frozen snapshot."""

from routing.models.canaries import Canary, CanaryCall, CanaryEvidence, CanaryTransition
from routing.models.canary_scores import CanaryPair, CanaryScoring
from routing.models.deployments import Deployment, DeploymentLimit
from routing.models.policies import Policy, PolicyVersion, ServedVersion
from routing.models.proofs import DecisionContext, Proof
from routing.models.providers import ACCOUNT_ID, CREDENTIAL_ENV, Credential, Provider
from routing.models.routes import RESERVED_PATHS, Route, RouteCandidate
from routing.models.shadows import Shadow, ShadowSum

__all__ = [
    "ACCOUNT_ID",
    "CREDENTIAL_ENV",
    "RESERVED_PATHS",
    "Canary",
    "CanaryCall",
    "CanaryEvidence",
    "CanaryPair",
    "CanaryScoring",
    "CanaryTransition",
    "Credential",
    "DecisionContext",
    "Deployment",
    "DeploymentLimit",
    "Policy",
    "PolicyVersion",
    "Proof",
    "Provider",
    "Route",
    "RouteCandidate",
    "ServedVersion",
    "Shadow",
    "ShadowSum",
]
