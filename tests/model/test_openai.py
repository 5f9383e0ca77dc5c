"""OpenAI's moderations protocol, as its clients see it."""

import numpy as np
import pytest
from app_client import AppClient
from served_models import SCIENCE, rude, two_labels

from textmod_model.metrics import Metrics
from textmod_model.serving import rest
from textmod_model.serving.dropins import DropIns, Keys
from textmod_model.serving.predictor import Predictor
from textmod_model.serving.turns import BusyError

SEVERAL = two_labels("threat")
PATH = "/v1/moderations"


def server(score=rude, info=SCIENCE, **options):
    dropins = DropIns({}, **options)
    return AppClient(rest.seldon_app(Predictor(score, info), Metrics(), dropins))


def test_every_text_has_a_result():
    answer = server().post(PATH, json={"input": ["you idiot", "thanks"], "model": "omni"}).json()
    assert answer["id"].startswith("modr-")
    assert answer["model"] == "science:1"
    assert answer["results"] == [
        {
            "flagged": score > 0.5,
            "categories": {"removed": score > 0.5},
            "category_scores": {"removed": score},
            "category_applied_input_types": {"removed": ["text"]},
        }
        for score in (0.9, 0.1)
    ]


def test_a_text_is_flagged_by_any_label_at_its_own_threshold():
    answer = server(lambda _texts: np.array([[0.4, 0.4]]), SEVERAL).post(PATH, json={"input": "a"})
    [result] = answer.json()["results"]
    assert (result["flagged"], result["categories"]) == (True, {"toxic": False, "threat": True})


def test_parts_are_one_text():
    parts = [{"type": "text", "text": "you"}, {"type": "text", "text": "idiot"}]
    [result] = server().post(PATH, json={"input": parts}).json()["results"]
    assert result["flagged"]


@pytest.mark.parametrize(
    ("document", "param", "message"),
    [
        ({}, "input", "Missing required parameter: 'input'."),
        ({"input": []}, "input", "Invalid 'input': the list is empty."),
        ({"input": ""}, "input", "Invalid 'input': the text is empty."),
        ({"input": ["a", " "]}, "input", "Invalid 'input[1]': the text is empty."),
        ({"input": 1}, "input", "Invalid type for 'input'"),
        ({"input": ["a", {}]}, "input", "Invalid type for 'input'"),
        ({"input": ["a"] * 1025}, "input", "Invalid 'input': at most 1024 texts a call."),
        (
            {"input": [{"type": "image_url", "image_url": {"url": "data:"}}]},
            "input",
            "This model scores no images: send text.",
        ),
        ({"input": [{"type": "text"}]}, "input", "Invalid 'input': a part must be"),
        ({"input": "a", "model": 1}, "model", "Invalid type for 'model'"),
        ([], None, "The body must be a JSON object."),
    ],
)
def test_refusals_are_in_openais_shape(document, param, message):
    answer = server().post(PATH, json=document)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"].startswith(message)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_json_is_refused(body):
    answer = server().post(PATH, content=body)
    message = "We could not parse the JSON body of your request."
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


def test_a_bearer_key_is_asked_for_where_one_is_configured():
    api = server(openai_keys=Keys("sk-1"))
    missing, wrong, right = (
        api.post(PATH, json={"input": "a"}, headers=headers)
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer sk-1"})
    )
    assert (missing.status_code, missing.json()["error"]["code"]) == (401, None)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_api_key")
    assert right.status_code == 200


def test_a_busy_model_is_a_server_error():
    def busy(_texts):
        raise BusyError("try again later")

    answer = server(busy).post(PATH, json={"input": "a"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
