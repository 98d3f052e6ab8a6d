"""A candidate that is asked what a route's clients ask, off their path: the shadow, and sums of what it showed."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class Shadow(models.Model):
    """A deployment, or another version of the route's policy, that gets copies of the route's requests. Rows are kept.

    Of a live one each change is in force everywhere within a second. The copies are paid by whose route it is, out of
    ``budget_microusd`` a day (UTC), and count in no quota.
    """

    route = models.ForeignKey("routing.Route", on_delete=models.CASCADE, related_name="shadows")
    deployment = models.ForeignKey(
        "routing.Deployment", on_delete=models.SET_NULL, null=True, blank=True, related_name="shadows"
    )
    policy_version = models.ForeignKey(
        "routing.PolicyVersion", on_delete=models.SET_NULL, null=True, blank=True, related_name="shadows"
    )
    name = models.CharField(max_length=120, editable=False)  # of the candidate, which may be deleted
    percent = models.FloatField(validators=[MinValueValidator(0.01), MaxValueValidator(100)])  # of requests
    budget_microusd = models.BigIntegerField(validators=[MinValueValidator(0), MaxValueValidator(10**12)])  # a day
    concurrent = models.PositiveSmallIntegerField(  # copies under way, in all processes together
        default=4, validators=[MinValueValidator(1), MaxValueValidator(64)]
    )
    similarity = models.BooleanField(default=False)  # answers are also compared by meaning, which costs CPU
    until = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, editable=False)
    started_by = models.CharField(max_length=150, blank=True, editable=False)
    started_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-started_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(F("route"), condition=Q(stopped_at=None), name="shadow_one_live_a_route"),
            models.CheckConstraint(
                condition=Q(deployment=None) | Q(policy_version=None), name="shadow_tries_one_thing"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} beside {self.route}"

    @property
    def live(self) -> bool:
        return self.stopped_at is None and (self.until is None or self.until > timezone.now())


class ShadowSum(models.Model):
    """Of one figure of a day (UTC): how many values, their sum, the sum of their squares (``core.shadow``). Copies that
    were not made are here, too, as ``dropped:`` and why. Added to with each pair, in its transaction."""

    # No constraint: what copies add locks no row of configuration, and deleting a route waits for none of them.
    shadow = models.ForeignKey(Shadow, on_delete=models.CASCADE, related_name="sums", db_constraint=False)
    day = models.DateField()
    name = models.CharField(max_length=32)
    n = models.BigIntegerField()
    total = models.FloatField()
    squares = models.FloatField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["shadow", "day", "name"], name="shadow_sum_once")]

    def __str__(self) -> str:
        return f"{self.name} of shadow {self.shadow_id}, {self.day}"
