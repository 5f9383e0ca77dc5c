"""The model pods' variables of review: which texts to choose, and where to write them."""

from __future__ import annotations

from textmod_operator import naming
from textmod_operator.api.v1alpha1 import TextModeration
from textmod_operator.desired.container import variable
from textmod_operator.state import Manifest


def environment(tm: TextModeration) -> list[Manifest]:
    """The variables of review; none without it, so that it changes no pod of others."""
    review = tm.spec.review
    if review is None:
        return []
    values = {
        naming.ENV_REVIEW_TOPIC: tm.review_topic,
        naming.ENV_FEEDBACK_TOPIC: tm.feedback_topic,
        naming.ENV_REVIEW_SAMPLE: repr(review.sample),
        naming.ENV_REVIEW_SALT: naming.review_salt(tm),
    }
    return [variable(name, value) for name, value in values.items()]
