"""Seldon's feedback call: answered as its wrapper answers for a model without feedback of its own.

Rewards carry no offset and no reviewer, so that nothing could be measured or learned from them:
people's decisions come from the review console. Nothing of a call is kept.
"""

from textmod_model.formats.message import RefusedError

_FIELDS = frozenset({"request", "response", "reward", "truth"})


def answer(document: object) -> dict[str, object]:
    """Return an empty answer in the kind of the request that the feedback is about.

    `document` is the JSON form of seldon.protos.Feedback. Raises RefusedError.
    """
    if not isinstance(document, dict) or not _FIELDS.issuperset(document):
        raise RefusedError("WrongSchema", "feedback has request, response, reward and truth.")
    reward = document.get("reward", 0)
    if isinstance(reward, bool) or not isinstance(reward, int | float):
        raise RefusedError("WrongSchema", "the reward of feedback must be a number.")
    request = document.get("request") or {}
    if not isinstance(request, dict):
        raise RefusedError("WrongSchema", "the request of feedback must be a JSON object.")
    data, meta = request.get("data"), request.get("meta")
    array = isinstance(data, dict) and "ndarray" in data
    puid = meta.get("puid") if isinstance(meta, dict) else None
    return {
        "data": {"ndarray": []} if array else {"tensor": {"shape": [0]}},
        "meta": {"puid": puid} if isinstance(puid, str) else {},
    }
