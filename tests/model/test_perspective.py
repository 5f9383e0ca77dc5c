"""Perspective API's protocol, as its clients see it."""

import hashlib
import json
import time

import numpy as np
import pytest
from app_client import AppClient
from served_models import SCIENCE, rude, two_labels

from textmod_model.errors import ConfigurationError
from textmod_model.metrics import Metrics
from textmod_model.serving import rest
from textmod_model.serving.dropins import DropIns, Keys
from textmod_model.serving.predictor import Predictor
from textmod_model.serving.turns import BusyError
from textmod_model.settings import load

SEVERAL = two_labels("identity attack")
ANALYZE = "/v1alpha1/comments:analyze"
SUGGEST = "/v1alpha1/comments:suggestscore"
BOTH_CONTEXTS = (
    "Context can have either entries or article_and_parent_comment, but both fields were populated."
)


def server(score=rude, info=SCIENCE, attributes=None, **options):
    metrics = Metrics()
    dropins = DropIns(attributes or {"TOXICITY": "removed"}, **options)
    return AppClient(rest.seldon_app(Predictor(score, info), metrics, dropins)), metrics


@pytest.fixture
def api():
    return server()[0]


def request(text="you idiot", **more):
    return {"comment": {"text": text}, "requestedAttributes": {"TOXICITY": {}}, **more}


def error(answer):
    body = answer.json()["error"]
    assert body["code"] == answer.status_code
    return body


@pytest.mark.parametrize("path", [ANALYZE, "/comments:analyze", "/v1alpha1/comments%3Aanalyze"])
def test_a_comment_has_a_summary_score_and_a_span_over_all_of_it(api, path):
    answer = api.post(path, json=request())
    assert answer.status_code == 200
    score = {"value": 0.9, "type": "PROBABILITY"}
    assert answer.json() == {
        "attributeScores": {
            "TOXICITY": {
                "spanScores": [{"begin": 0, "end": 9, "score": score}],
                "summaryScore": score,
            }
        },
        "languages": ["en"],
        "detectedLanguages": ["en"],
    }


def test_what_a_client_sends_along_is_taken_and_its_token_returned(api):
    answer = api.post(
        ANALYZE,
        json=request(
            doNotStore=True,
            communityId="/r/science",
            sessionId="s",
            clientToken="t",
            languages=["EN"],
            context={"entries": [{"text": "the article", "type": "PLAIN_TEXT"}]},
            aFieldOfTomorrow=1,
        ),
    )
    assert answer.json()["clientToken"] == "t"
    assert answer.json()["languages"] == ["EN"]


def test_fields_may_be_in_snake_case_and_null(api):
    answer = api.post(
        ANALYZE,
        json={
            "comment": {"text": "a", "type": None},
            "requested_attributes": {"TOXICITY": {"score_threshold": 0.05}},
            "client_token": "t",
            "context": None,
        },
    )
    assert answer.json()["attributeScores"]["TOXICITY"]["summaryScore"]["value"] == 0.1
    assert answer.json()["clientToken"] == "t"


@pytest.mark.parametrize(
    "more",
    [
        {"languages": "en"},  # the clients of R and n8n
        {"requestedAttributes": {"TOXICITY": {"scoreType": "probability"}}},  # n8n's client
        {"requestedAttributes": {"TOXICITY": {"scoreThreshold": "0.05"}}},
        {"comment": {"text": "you idiot", "type": "plain-text"}},
        {"context": {"entries": {"text": "the article"}}},
    ],
    ids=str,
)
def test_values_may_be_written_as_googles_parser_takes_them(api, more):
    answer = api.post(ANALYZE, json=request(**more))
    assert answer.json()["attributeScores"]["TOXICITY"]["summaryScore"]["value"] == 0.9


@pytest.mark.parametrize("threshold", ["", "half", "NaN", "Infinity", "9" * 5000, True, [0.5]])
def test_a_threshold_that_is_no_number_is_refused(api, threshold):
    asked = {"TOXICITY": {"scoreThreshold": threshold}}
    body = error(api.post(ANALYZE, json=request(requestedAttributes=asked)))
    assert "scoreThreshold" in body["message"]


def test_scores_below_the_threshold_are_left_out(api):
    asked = {"TOXICITY": {"scoreThreshold": 0.5}}
    quiet = api.post(ANALYZE, json=request("thanks", requestedAttributes=asked)).json()
    assert "attributeScores" not in quiet
    two = "Thanks! You idiot."
    document = request(two, requestedAttributes=asked, spanAnnotations=True)
    [span] = api.post(ANALYZE, json=document).json()["attributeScores"]["TOXICITY"]["spanScores"]
    assert two[span["begin"] : span["end"]] == "You idiot."


def test_spans_are_sentences_in_code_points(api):
    text = "  Lovely \U0001f642 paper!  You idiot...\nBye"
    answer = api.post(ANALYZE, json=request(text, spanAnnotations=True)).json()
    spans = answer["attributeScores"]["TOXICITY"]["spanScores"]
    assert [(text[one["begin"] : one["end"]], one["score"]["value"]) for one in spans] == [
        ("Lovely \U0001f642 paper!", 0.1),
        ("You idiot...", 0.9),
        ("Bye", 0.1),
    ]


def test_a_comment_has_at_most_a_hundred_spans(api):
    text = "no. " * 5000
    answer = api.post(ANALYZE, json=request(text, spanAnnotations=True)).json()
    spans = answer["attributeScores"]["TOXICITY"]["spanScores"]
    assert len(spans) == 100
    assert spans[-1]["end"] == len(text) - 1


def test_html_is_read_as_a_person_reads_it(api):
    text = (
        "<p title='idiot'>Fine &amp; good.</p>\n<p>You <b>id</b>&#105;ot</p><script>idiot</script>"
    )
    document = request(text, spanAnnotations=True)
    document["comment"]["type"] = "HTML"
    spans = api.post(ANALYZE, json=document).json()["attributeScores"]["TOXICITY"]["spanScores"]
    assert [(text[one["begin"] : one["end"]], one["score"]["value"]) for one in spans] == [
        ("Fine &amp; good.", 0.1),
        ("You <b>id</b>&#105;ot", 0.9),
    ]


def test_each_attribute_is_its_label():
    rows = np.array([[0.2, 0.8]])
    labels = {"TOXICITY": "toxic", "IDENTITY_ATTACK": "identity attack"}
    api, _ = server(lambda _texts: rows, SEVERAL, labels)
    asked = {"IDENTITY_ATTACK": {}, "TOXICITY": {"scoreType": "PROBABILITY"}}
    scores = api.post(ANALYZE, json=request(requestedAttributes=asked)).json()["attributeScores"]
    assert list(scores) == ["IDENTITY_ATTACK", "TOXICITY"]
    assert scores["IDENTITY_ATTACK"]["summaryScore"]["value"] == 0.8
    assert scores["TOXICITY"]["summaryScore"]["value"] == 0.2


def test_labels_have_their_upper_case_names_by_default():
    assert DropIns.of(SEVERAL).attributes == {
        "TOXIC": "toxic",
        "IDENTITY_ATTACK": "identity attack",
    }
    assert DropIns.of(SCIENCE).attributes == {"REMOVED": "removed", "LIKELY_TO_REJECT": "removed"}


def test_an_attribute_of_a_label_that_is_not_there_is_refused_at_the_start():
    settings = load({"TEXTMOD_PERSPECTIVE_ATTRIBUTES": '{"TOXICITY": "toxic"}'})
    with pytest.raises(ConfigurationError, match=r"TOXICITY names the label toxic.*it has removed"):
        DropIns.of(SCIENCE, settings)


@pytest.mark.parametrize("attributes", ["{", "[]", '{"TOXICITY": 1}', "[" * 100_000])
def test_attributes_that_are_no_object_are_refused(attributes):
    with pytest.raises(ConfigurationError, match="TEXTMOD_PERSPECTIVE_ATTRIBUTES"):
        load({"TEXTMOD_PERSPECTIVE_ATTRIBUTES": attributes})


@pytest.mark.parametrize(
    ("document", "kind", "message"),
    [
        ({}, "COMMENT_EMPTY", "Comment must be non-empty."),
        (request(" \n"), "COMMENT_EMPTY", "Comment must be non-empty."),
        (request("é" * 10_241), "COMMENT_TOO_LONG", "Comment text too long."),
        ({"comment": {"text": "a"}}, "NO_REQUESTED_ATTRIBUTES", "Missing requested_attributes"),
        (
            request(requestedAttributes={"SPAM": {}}),
            "INVALID_REQUEST",
            "Unknown requested attribute: SPAM",
        ),
        (
            request(requestedAttributes={"TOXICITY": {"scoreType": "LOGIT"}}),
            "INVALID_REQUEST",
            "Requested score type LOGIT is not supported by attribute TOXICITY",
        ),
        (
            request(languages=["de", "en-US", "FR"]),
            "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE",
            "Attribute TOXICITY does not support request languages: de, fr",
        ),
        ({"comment": {"text": "a", "type": "RTF"}}, "INVALID_REQUEST", "Unknown text type"),
        (
            request(context={"entries": [{"text": "a"}], "articleAndParentComment": {}}),
            "INVALID_REQUEST",
            BOTH_CONTEXTS,
        ),
        (
            {"comment": {"text": 1}},
            "INVALID_REQUEST",
            "Invalid value at 'comment.text': Input should be a valid string.",
        ),
    ],
)
def test_refusals_are_perspectives(api, document, kind, message):
    body = error(api.post(ANALYZE, json=document))
    assert (body["code"], body["status"], body["message"]) == (400, "INVALID_ARGUMENT", message)
    assert body["details"][0]["errorType"] == kind


def test_an_unsupported_language_is_said_as_clients_read_it(api):
    [detail] = error(api.post(ANALYZE, json=request(languages=["de"])))["details"]
    about = detail["languageNotSupportedByAttributeError"]
    assert (about["attribute"], about["detectedLanguages"]) == ("TOXICITY", ["de"])


def test_without_configured_languages_any_is_taken():
    api, _ = server(languages=())
    assert api.post(ANALYZE, json=request(languages=["de"])).json()["languages"] == ["de"]
    assert api.post(ANALYZE, json=request()).json()["languages"] == ["und"]


def test_unsupported_attributes_can_be_dropped(api):
    asked = {"TOXICITY": {}, "SPAM": {}}
    document = request(requestedAttributes=asked, dropUnsupportedAttributes=True)
    assert list(api.post(ANALYZE, json=document).json()["attributeScores"]) == ["TOXICITY"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"a"', b"\xff", b"[" * 100_000, b'{"a":' * 50_000])
def test_a_body_that_is_no_request_is_refused(api, body):
    answer = api.post(ANALYZE, content=body)
    assert error(answer)["message"].startswith("Invalid JSON payload received.")


def test_a_text_that_was_cut_within_an_emoji_is_scored(api):
    answer = api.post(ANALYZE, content=json.dumps(request("idiot \ud83d", clientToken="\ud83d")))
    assert answer.json()["attributeScores"]["TOXICITY"]["summaryScore"]["value"] == 0.9


def test_a_busy_model_is_unavailable():
    def busy(_texts):
        raise BusyError("try again later")

    assert error(server(busy)[0].post(ANALYZE, json=request()))["status"] == "UNAVAILABLE"


def test_a_broken_model_is_an_internal_error(caplog):
    def broken(_texts):
        raise ZeroDivisionError

    api, metrics = server(broken)
    assert error(api.post(ANALYZE, json=request()))["status"] == "INTERNAL"
    assert 'textmod_predictions_total{outcome="failed",protocol="perspective"} 1.0' in (
        metrics.text().decode()
    )
    assert "idiot" not in caplog.text


# --- keys -----------------------------------------------------------------------------------------


def test_a_key_is_asked_for_where_one_is_configured():
    api, _ = server(perspective_keys=Keys("old new"))
    missing = error(api.post(ANALYZE, json=request()))
    assert (missing["code"], missing["status"]) == (403, "PERMISSION_DENIED")
    wrong = error(api.post(f"{ANALYZE}?key=x", json=request()))
    assert wrong["message"] == "API key not valid. Please pass a valid API key."
    assert (wrong["code"], wrong["details"][0]["reason"]) == (400, "API_KEY_INVALID")
    for key in ("old", "new"):
        assert api.post(f"{ANALYZE}?key={key}", json=request()).status_code == 200
    header = {"X-Goog-Api-Key": "new"}
    assert api.post(ANALYZE, json=request(), headers=header).status_code == 200
    assert api.post(SUGGEST, json={}).status_code == 403


@pytest.mark.parametrize("name", ["TEXTMOD_PERSPECTIVE_KEY", "TEXTMOD_OPENAI_KEY"])
@pytest.mark.parametrize("value", ["", " \n"])
def test_an_emptied_secret_admits_nobody(name, value):
    with pytest.raises(ConfigurationError, match=f"{name}: must hold a key"):
        load({name: value})


def test_keys_are_kept_as_digests():
    keys = Keys("sesame")
    assert keys.admit("sesame")
    assert not keys.admit("\ud800")
    assert "sesame" not in repr(vars(keys))
    assert vars(keys)["_digests"] == [hashlib.sha256(b"sesame").digest()]


# --- browsers -------------------------------------------------------------------------------------

SITE = "https://www.example.org"
ASKS = {
    "Origin": SITE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,x-goog-api-client",
}


@pytest.mark.parametrize("path", [ANALYZE, SUGGEST, "/comments:analyze"])
@pytest.mark.parametrize(("allowed", "answered"), [(SITE, SITE), ("*", "*")])
def test_a_script_of_an_allowed_page_may_call(path, allowed, answered):
    api, _ = server(origins=("https://other.example.org", allowed), perspective_keys=Keys("k"))
    asked = api.request("OPTIONS", path, headers=ASKS)  # browsers send no key with it
    assert asked.status_code == 200
    assert asked.headers["access-control-allow-origin"] == answered
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert asked.headers["access-control-allow-headers"] == ASKS["Access-Control-Request-Headers"]
    for key in ("k", "wrong"):  # the reason for a refusal is for the page, too
        answer = api.post(f"{path}?key={key}", json=request(), headers={"Origin": SITE})
        assert answer.headers["access-control-allow-origin"] == answered
        assert "access-control-allow-credentials" not in answer.headers
    discovered = api.get("/$discovery/rest", headers={"Origin": SITE})
    assert discovered.headers["access-control-allow-origin"] == answered


@pytest.mark.parametrize("origins", [(), ("https://other.example.org",)])
@pytest.mark.parametrize("origin", [SITE, "null", "https://other.example.org.evil.example"])
def test_a_script_of_any_other_page_may_not(origins, origin):
    api, _ = server(origins=origins)
    assert api.request("OPTIONS", ANALYZE, headers={**ASKS, "Origin": origin}).status_code >= 400
    answer = api.post(ANALYZE, json=request(), headers={"Origin": origin})
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_options_that_ask_no_permission_are_refused_in_googles_shape():
    api, _ = server(origins=(SITE,))
    answer = api.request("OPTIONS", ANALYZE)
    assert error(answer)["status"] == "INVALID_ARGUMENT"
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


# --- suggestscore ---------------------------------------------------------------------------------


def test_a_suggestion_is_answered_and_counted_and_said_once_not_to_be_stored(caplog):
    api, metrics = server()
    for _ in range(2):
        answer = api.post(
            SUGGEST,
            json={
                "comment": {"text": "a"},
                "attributeScores": {"DELETED": {"summaryScore": {"value": 1}}},
                "communityId": "Coral:site",
                "clientToken": "comment:1",
            },
        )
        assert answer.json() == {
            "requestedLanguages": ["en"],
            "detectedLanguages": ["en"],
            "clientToken": "comment:1",
        }
    assert "textmod_suggestions_total 2.0" in metrics.text().decode()
    assert [one.message for one in caplog.records if "suggest" in one.message] == [
        "comments:suggestscore: suggestions are counted, but not stored"
    ]


def test_a_suggestion_may_be_written_as_googles_parser_takes_it(api):
    suggested = {
        "summaryScore": {"value": "1", "type": "probability"},
        "spanScores": {"begin": "0", "end": "1", "score": {"value": "1e0"}},
    }
    document = {
        "comment": {"text": "a"}, "attributeScores": {"TOXICITY": suggested}, "languages": "en"
    }  # fmt: skip
    assert api.post(SUGGEST, json=document).json()["requestedLanguages"] == ["en"]


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"attributeScores": {"TOXICITY": {}}}, "COMMENT_EMPTY"),
        ({"comment": {"text": "a"}}, "INVALID_REQUEST"),
        ({"comment": {"text": "a"}, "attributeScores": {"T": 1}}, "INVALID_REQUEST"),
        (
            {"comment": {"text": "a"}, "attributeScores": {"T": {"summaryScore": {"value": 2}}}},
            "INVALID_REQUEST",
        ),
    ],
)
def test_a_suggestion_that_is_none_is_refused(api, document, kind):
    assert error(api.post(SUGGEST, json=document))["details"][0]["errorType"] == kind


# --- discovery ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/$discovery/rest?version=v1alpha1", "/discovery/v1/apis/commentanalyzer/v1alpha1/rest"],
)
def test_the_discovery_document_leads_back_here(api, path):
    answer = api.get(path)
    document = answer.json()
    assert document["rootUrl"] == "http://model/"
    assert answer.headers["cache-control"] == "private, no-store"
    forwarded = api.get(path, headers={"X-Forwarded-Proto": "https"}).json()
    assert forwarded["rootUrl"] == "https://model/"
    method = document["resources"]["comments"]["methods"]["analyze"]
    assert f"/{method['path']}" == ANALYZE


def test_the_discovery_document_refuses_a_wrong_key():
    api, _ = server(perspective_keys=Keys("k"))
    assert api.get("/$discovery/rest").status_code == 200
    assert api.get("/$discovery/rest?key=k").status_code == 200
    assert error(api.get("/$discovery/rest?key=x"))["details"][0]["reason"] == "API_KEY_INVALID"


@pytest.mark.parametrize("piece", [".", ". ", " ", "\n", "?\t", "a", "<", "&#1;", "</p>", "\u2028"])
@pytest.mark.parametrize("kind", ["PLAIN_TEXT", "HTML"])
def test_the_worst_comments_cost_little_before_they_are_scored(api, piece, kind):
    document = request("a" + piece * (20_000 // len(piece.encode())), spanAnnotations=True)
    document["comment"]["type"] = kind
    began = time.process_time()
    assert api.post(ANALYZE, json=document).status_code == 200
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("host", ["[", "a b", "]:", "a:b:c", "\u00e9", "", "x" * 5000, "a/b?c#d"])
@pytest.mark.parametrize("forwarded", ["", "https", "https, http", "javascript"])
def test_the_discovery_document_is_given_to_any_host(api, host, forwarded):
    headers = {"Host": host.encode("latin-1"), "X-Forwarded-Proto": forwarded}
    answer = api.get("/$discovery/rest", headers=headers)
    assert answer.status_code in {200, 400}
    if answer.status_code == 200:
        scheme = "https" if forwarded.startswith("https") else "http"
        assert answer.json()["rootUrl"].startswith(f"{scheme}://")
        assert answer.json()["rootUrl"].endswith("/")
