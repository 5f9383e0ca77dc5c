"""`spec.policies` and `spec.explanation`: from a score to an action, and why."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from textmod_operator.api.rules import Rule, Strict

Action = Literal["Allow", "Review", "Remove"]

# The API server estimates what a rule over a list may cost by the most entries of the list.
MOST_POLICIES = 16
MOST_RULES = 8

PolicyName = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]+(-+[a-z0-9]+)*$")
]


class PolicyRule(Strict):
    """An action, and from which score on it is taken."""

    rules = (
        Rule(
            "[has(self.precision), has(self.atLeast), has(self.budgetPerDay)]"
            ".exists_one(given, given)",
            "a rule of a policy needs exactly one of precision, atLeast and budgetPerDay: each of "
            "them alone decides from which score on the rule holds",
            lambda rule: rule.asked_once(),
        ),
        Rule(
            "!self.hold || self.action == 'Review'",
            "hold needs action Review: it keeps a text back until somebody has looked at it",
            lambda rule: not rule.hold or rule.action == "Review",
        ),
    )

    action: Action = Field(
        description="What is done with a text for which the rule holds: Allow, Review or Remove. "
        "Required, so without a default."
    )
    hold: bool = Field(
        default=False,
        description="Review only. true: the text is kept back until somebody has looked at it. "
        "false: it stays up meanwhile. Default: false.",
    )
    precision: float | None = Field(
        default=None,
        ge=0.01,
        le=1,
        description="The rule holds from the lowest score on at which this share of the texts, "
        "from 0.01 to 1, has the label; the operator works the score out. Where no score reaches "
        "it, the rule never holds and PoliciesReady says so. Default: none.",
    )
    at_least: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The rule holds from this score on, from 0 to 1. Default: none.",
    )
    budget_per_day: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="The rule holds for at most so many texts a day, over all replicas: from the "
        "score on that the operator works out of the rate at which texts arrive, and never for "
        "more. Until that rate is known it does not hold. Default: none.",
    )

    def asked_once(self) -> bool:
        """Whether exactly one way to the threshold is given."""
        ways = (self.precision, self.at_least, self.budget_per_day)
        return sum(way is not None for way in ways) == 1


class Policy(Strict):
    """One label and what is done about it."""

    name: PolicyName = Field(
        description="Name of the policy, in verdicts and metrics: a-z, 0-9 and -, at most 63 "
        "characters, unique in the object. Required, so without a default."
    )
    label: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="The label of the model whose score decides. Default: the model's first.",
    )
    policy_rules: list[PolicyRule] = Field(
        alias="rules",
        min_length=1,
        max_length=MOST_RULES,
        description="The rules; the first that holds decides. Required, so without a default.",
    )
    otherwise: Action = Field(
        default="Allow",
        description="What is done when no rule holds: Allow, Review or Remove. Default: Allow.",
    )
    mode: Literal["Enforce", "Observe"] = Field(
        default="Enforce",
        description="Enforce: the policy's action counts. Observe: it is named in the verdict "
        "beside the others and changes nothing. Default: Enforce.",
    )


class Explanation(Strict):
    """Which verdicts say why, and how."""

    rules = (
        Rule(
            None,  # the list's type says it to the API server
            "explanation.actions must name every action once",
            lambda explanation: len(set(explanation.actions)) == len(explanation.actions),
        ),
    )

    actions: list[Action] = Field(
        default=["Remove", "Review"],
        max_length=3,
        description="The actions whose verdicts carry an explanation; an empty list: none do. Only "
        "with policies. Default: Remove and Review.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    max_spans: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Most spans of text in one explanation, those with the largest weights; the "
        "rest is given as one sum. Default: 5.",
    )
    offsets: Literal["CodePoint", "Utf16"] = Field(
        default="CodePoint",
        description="What the spans count. CodePoint: Unicode code points, as Python does. "
        "Utf16: UTF-16 code units, as JavaScript and Java do. Default: CodePoint.",
    )
