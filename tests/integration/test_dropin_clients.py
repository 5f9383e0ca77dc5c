"""Clients of Perspective and OpenAI, as their users have them, against our server.

Each is pointed here in the way that docs/moving-from-perspective.md says. The property `client`
names those of Perspective in the report of a run, for bench/policies/dropins.py.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import httpx
import pytest
from dropin_clients import DEPENDENCIES, NODE, PYTHON, Clients
from model_server import SERVE, Running

from textmod_dev.processes import ProcessKeeper

pytestmark = [pytest.mark.integration, pytest.mark.slow]

KEY = "an-api-key"
ATTRIBUTES = [
    "TOXICITY",
    "SEVERE_TOXICITY",
    "IDENTITY_ATTACK",
    "INSULT",
    "PROFANITY",
    "THREAT",
    "SEXUALLY_EXPLICIT",
    "FLIRTATION",
]
RUDE, KIND = "you stupid idiot 7", "lovely paper 7"
VERSIONS = dict(pin.split("==") for pin in DEPENDENCIES if "==" in pin)
needs_node = pytest.mark.skipif(
    shutil.which("npm") is None, reason="npm is missing: its clients are not tried"
)


@pytest.fixture(scope="session")
def clients() -> Clients:
    found = Clients()
    found.install()
    return found


@pytest.fixture(scope="module")
def server(model, tmp_path_factory) -> Iterator[Running]:
    environment = {
        "TEXTMOD_PERSPECTIVE_ATTRIBUTES": json.dumps(dict.fromkeys(ATTRIBUTES, "removed")),
        "TEXTMOD_PERSPECTIVE_KEY": KEY,
        "TEXTMOD_OPENAI_KEY": KEY,
    }
    with ProcessKeeper(tmp_path_factory.mktemp("logs")) as keeper:
        yield Running(keeper, "ours", SERVE, model, **environment).wait()


@pytest.fixture
def scores(server) -> list[float]:
    """Of the rude and of the kind text, as Seldon's route has them."""
    body = json.dumps({"data": {"ndarray": [RUDE, KIND]}}).encode()
    rows = json.loads(server.rest("/predict", body)[1])["data"]["ndarray"]
    assert rows[0][1] > 0.5 > rows[1][1]
    return [row[1] for row in rows]


def environment(server: Running, **more: str) -> dict[str, str]:
    return {"URL": server.url, "KEY": KEY, "TEXTS": json.dumps([RUDE, KIND]), **more}


HEAD = """
import json, os
url, key, texts = os.environ["URL"], os.environ["KEY"], json.loads(os.environ["TEXTS"])
"""

GOOGLE_CLIENT = """
from googleapiclient import discovery, errors
def client(key):
    return discovery.build(
        "commentanalyzer", "v1alpha1", developerKey=key, static_discovery=False,
        discoveryServiceUrl=url + "/$discovery/rest?version=v1alpha1",
    )
def ask(text):
    body = {
        "comment": {"text": text}, "requestedAttributes": {"TOXICITY": {}}, "languages": ["en"],
        "spanAnnotations": True, "clientToken": "t",
    }
    answer = client(key).comments().analyze(body=body).execute()
    assert answer["clientToken"] == "t"
    return answer["attributeScores"]["TOXICITY"]["summaryScore"]["value"]
try:
    client("wrong")
except errors.HttpError as error:
    refused = error.reason
scores = {"TOXICITY": {"summaryScore": {"value": 0}}}
suggestion = {"comment": {"text": "a"}, "attributeScores": scores}
client(key).comments().suggestscore(body=suggestion).execute()
print(json.dumps([*map(ask, texts), refused]))
"""


def test_google_api_python_client(clients, server, scores, record_property):
    name = "google-api-python-client"
    record_property("client", f"{name} {VERSIONS[name]} (PyPI)")
    found = clients.python("none", HEAD + GOOGLE_CLIENT, **environment(server))
    assert found == [*scores, "API key not valid. Please pass a valid API key."]


PERSPECTIVE = """
from perspective import PerspectiveAPI
api = PerspectiveAPI(key)
api.api_client.url = url + "/v1alpha1/{endpoint}"
found = [api.score(text, tests=["TOXICITY", "INSULT"]) for text in texts]
whole = api.analyze_comment(
    texts[0], comment_type="PLAIN_TEXT", context=[{"text": "a", "type": "PLAIN_TEXT"}],
    requested_attributes={"THREAT": {"scoreThreshold": 0.1}}, span_annotations=True,
    languages=["en"], do_not_store=True, client_token="t", session_id="s", community_id="c",
)
assert whole["attributeScores"]["THREAT"]["spanScores"] and whole["clientToken"] == "t"
sent = api.suggest_score(
    texts[0], {"TOXICITY": {"summaryScore": {"value": 1.0}}}, client_token="u", community_id="c"
)
assert sent["clientToken"] == "u", sent
print(json.dumps([one["INSULT"] for one in found]))
"""

PY_PERSPECTIVE = """
module = __import__("PyPerspective.Perspective", fromlist=["base_url"])
module.base_url = url + "/v1alpha1/comments:analyze"
try:
    module.Perspective("wrong")
    raise SystemExit("a wrong key was taken")
except module.InvalidAuthKey:
    pass
api = module.Perspective(key)
comments = [api.get_score(text, tests=["TOXICITY", "INSULT"], langs=["en"]) for text in texts]
assert str(comments[0]["INSULT"][0]) == texts[0]
assert comments[0].detected_langs == ["en"]
print(json.dumps([comment["TOXICITY"].score for comment in comments]))
"""

PERSPECTIVE_API = """
import asyncio, httpx
from perspective import Attribute, Perspective
post = httpx.AsyncClient.post
httpx.AsyncClient.post = lambda self, to, **more: post(
    self, to.replace("https://commentanalyzer.googleapis.com", url), **more
)
api = Perspective(key)
async def ask():
    asked = [Attribute.TOXICITY, Attribute.SEVERE_TOXICITY]
    return [(await api.score(text, asked)).severe_toxicity for text in texts]
print(json.dumps(asyncio.run(ask())))
"""

PY_SPECTIVE = """
import requests
post = requests.post
here = url
requests.post = lambda url, **more: post(
    url.replace("https://commentanalyzer.googleapis.com", here), **more
)
from pyspective.pyspective import PyspectiveAPI
api = PyspectiveAPI(key)
assert api.suggest(texts[0], 1.0) == "Successed"
assert len(api.score(texts[0])) == 8
print(json.dumps([api.score(text, "threat")["THREAT"] for text in texts]))
"""

HERE = """
from googleapiclient import discovery
build = discovery.build
def here(*names, discoveryServiceUrl, **more):
    moved = discoveryServiceUrl.replace("https://commentanalyzer.googleapis.com", url)
    return build(*names, discoveryServiceUrl=moved, **more)
discovery.build = here
"""

PERSPECTIVE_PY = (
    HERE
    + """
from perspective import Attributes, Client
api = Client(key)
found = [api.analyze(text, ["TOXICITY", "THREAT"], "en") for text in texts]
print(json.dumps([one["THREAT"] / 100 for one in found]))
"""
)

BEGENTLE = (
    HERE
    + """
from begentle import CommentAnalyzer
api = CommentAnalyzer(key)
print(json.dumps([api.analyze(text) for text in texts]))
"""
)


@pytest.mark.parametrize(
    ("client", "program"),
    [
        ("perspective", PERSPECTIVE),
        ("perspective.py", PERSPECTIVE_PY),
        ("perspectiveapi", PERSPECTIVE_API),
        ("PyPerspective", PY_PERSPECTIVE),
        ("PySpective", PY_SPECTIVE),
        ("begentle", BEGENTLE),
    ],
    ids=list(PYTHON),
)
def test_clients_of_pypi(clients, server, scores, client, program, record_property):
    record_property("client", f"{client} {PYTHON[client]} (PyPI)")
    found = clients.python(client, HEAD + program, **environment(server))
    assert found == pytest.approx(scores, abs=1e-12)


NPM_CLIENT = """
const {URL: url, KEY: key} = process.env, texts = JSON.parse(process.env.TEXTS);
require('axios').interceptors.request.use(config => {
  config.url = config.url.replace('https://commentanalyzer.googleapis.com', url);
  return config;
});
const Perspective = require('perspective-api-client');
(async () => {
  const api = new Perspective({apiKey: key}), found = [];
  for (const text of texts) {
    const answer = await api.analyze(`<b>${text}</b>`, {attributes: ['toxicity', 'insult']});
    found.push(answer.attributeScores.INSULT.summaryScore.value);
  }
  const wrong = new Perspective({apiKey: 'wrong'});
  await wrong.analyze('a').catch(error => found.push(error.message));
  await api.analyze('a', {attributes: ['SPAM']}).catch(error => found.push(error.message));
  console.log(JSON.stringify(found));
})();
"""

NPM_GOOGLE = """
const {URL: url, KEY: key} = process.env, texts = JSON.parse(process.env.TEXTS);
const {Discovery} = require('googleapis-common');
(async () => {
  const make = await new Discovery({}).discoverAPI(`${url}/$discovery/rest?version=v1alpha1`);
  const api = make({}), found = [];
  for (const text of texts) {
    const resource = {comment: {text}, requestedAttributes: {TOXICITY: {}}};
    const answer = await api.comments.analyze({key, resource});
    found.push(answer.data.attributeScores.TOXICITY.summaryScore.value);
  }
  console.log(JSON.stringify(found));
})();
"""


@needs_node
def test_the_client_of_npm(clients, server, scores, record_property):
    record_property("client", f"perspective-api-client {NODE['perspective-api-client']} (npm)")
    found = clients.node(NPM_CLIENT, **environment(server))
    assert found[:2] == scores
    assert found[2:] == [
        "API key not valid. Please pass a valid API key.",
        "Unknown requested attribute: SPAM",
    ]


@needs_node
def test_googles_client_for_node(clients, server, scores, record_property):
    record_property("client", f"googleapis-common {NODE['googleapis-common']} (npm)")
    assert clients.node(NPM_GOOGLE, **environment(server)) == scores


def test_corals_requests(server, scores, record_property):
    """As its server sends them: to the configured endpoint's path and the operation, with the key
    in the query; after a decision, the moderators' status as an attribute of score 1."""
    record_property("client", "Coral (its requests, written anew)")
    for endpoint in (server.url, f"{server.url}/v1alpha1"):
        found = httpx.post(
            f"{endpoint}/comments:analyze",
            params={"key": KEY},
            json={
                "comment": {"text": RUDE},
                "doNotStore": True,
                "requestedAttributes": {"TOXICITY": {}},
                "languages": ["en"],
            },
        ).json()
        assert found["attributeScores"]["TOXICITY"]["summaryScore"]["value"] == scores[0]
        for status in ("APPROVED", "DELETED"):
            place = {"url": "https://site.example/story?commentID=c1", "Coral_comment_id": "c1"}
            sent = httpx.post(
                f"{endpoint}/comments:suggestscore",
                params={"key": KEY},
                json={
                    "comment": {"text": RUDE},
                    "context": {"entries": [{"text": json.dumps(place)}]},
                    "attributeScores": {status: {"summaryScore": {"value": 1}}},
                    "languages": ["EN"],
                    "communityId": "Coral:https://site.example/",
                    "clientToken": "comment:c1",
                },
            )
            assert (sent.status_code, sent.json()["clientToken"]) == (200, "comment:c1")


OPENAI = """
import openai
client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0)
answer = client.moderations.create(model="omni-moderation-latest", input=texts)
[rude, kind] = answer.results
assert rude.flagged and not kind.flagged
assert rude.categories.model_dump()["removed"] is True
assert rude.category_applied_input_types.model_dump()["removed"] == ["text"]
parts = [{"type": "text", "text": texts[0]}]
[whole] = client.moderations.create(input=parts).results
found = [one.category_scores.model_dump()["removed"] for one in (rude, kind, whole)]
for wrong, kind in (("x", openai.AuthenticationError), (key, openai.BadRequestError)):
    try:
        client.with_options(api_key=wrong).moderations.create(input="")
    except kind as error:
        found.append(error.code)
print(json.dumps(found))
"""


def test_openai(clients, server, scores):
    found = clients.python("none", HEAD + OPENAI, **environment(server))
    assert found == [*scores, scores[0], "invalid_api_key", "invalid_value"]


def test_keys_and_texts_are_in_no_log(server):
    """Runs last: what the server wrote while the clients called it."""
    written = server.process.log.read_text()
    assert KEY not in written
    assert RUDE not in written
