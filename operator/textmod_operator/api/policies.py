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


Ground = Literal["DECISION_GROUND_ILLEGAL_CONTENT", "DECISION_GROUND_INCOMPATIBLE_CONTENT"]
Category = Literal[
    "STATEMENT_CATEGORY_ANIMAL_WELFARE",
    "STATEMENT_CATEGORY_CONSUMER_INFORMATION",
    "STATEMENT_CATEGORY_CYBER_VIOLENCE",
    "STATEMENT_CATEGORY_CYBER_VIOLENCE_AGAINST_WOMEN",
    "STATEMENT_CATEGORY_DATA_PROTECTION_AND_PRIVACY_VIOLATIONS",
    "STATEMENT_CATEGORY_ILLEGAL_OR_HARMFUL_SPEECH",
    "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS",
    "STATEMENT_CATEGORY_NEGATIVE_EFFECTS_ON_CIVIC_DISCOURSE_OR_ELECTIONS",
    "STATEMENT_CATEGORY_NOT_SPECIFIED_NOTICE",
    "STATEMENT_CATEGORY_OTHER_VIOLATION_TC",
    "STATEMENT_CATEGORY_PROTECTION_OF_MINORS",
    "STATEMENT_CATEGORY_RISK_FOR_PUBLIC_SECURITY",
    "STATEMENT_CATEGORY_SCAMS_AND_FRAUD",
    "STATEMENT_CATEGORY_SELF_HARM",
    "STATEMENT_CATEGORY_UNSAFE_AND_PROHIBITED_PRODUCTS",
    "STATEMENT_CATEGORY_VIOLENCE",
]


class StatementOfReasons(Strict):
    """What a statement of reasons under the EU's Digital Services Act says of a policy."""

    rules = (
        Rule(
            "has(self.ground) || has(self.category)",
            "statementOfReasons needs ground, category or both: leave it out where neither is "
            "known",
            lambda reasons: reasons.ground is not None or reasons.category is not None,
        ),
    )

    ground: Ground | None = Field(
        default=None,
        description="Why a text is restricted, as decision_ground of the DSA Transparency "
        "Database has it: against the law, or against the terms and conditions. Default: none.",
    )
    category: Category | None = Field(
        default=None,
        description="What a restricted text is, as category of the DSA Transparency Database has "
        "it. Default: none.",
    )


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
    statement_of_reasons: StatementOfReasons | None = Field(
        default=None,
        description="What statements of reasons (Digital Services Act, article 17) say of this "
        "policy. The console writes it into decisions that remove a text, with "
        "automated_detection and automated_decision. Default: none.",
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
