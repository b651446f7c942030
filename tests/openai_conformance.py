"""Asks a running `edvac serve` what OpenAI's own Python client asks, and checks what that client makes of it.

    python tests/openai_conformance.py BASE_URL KEY MODEL

Needs the packages `openai` and (it comes with that one) `pydantic`. Ends with an exception where something is wrong.
"""

import json
import sys

import openai
from pydantic import BaseModel, ConfigDict, Field

EMBEDDER = "all-minilm-l6-v2"
# Small models talk on: enough tokens for what is checked, and no more.
REPLY_TOKENS_MAX = 48

base_url, key, model = sys.argv[1:4]
client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=300)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 30}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def chat(question, **more):
    more.setdefault("max_tokens", REPLY_TOKENS_MAX)
    more.setdefault("temperature", 0)
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], **more
    )


def refused(kind, code, act):
    try:
        act()
    except kind as error:
        assert error.code == code, (error.code, code)
        return error
    raise AssertionError(f"{kind.__name__} was expected")


def models_are_listed():
    ids = [m.id for m in client.models.list()]
    assert ids == [model, EMBEDDER], ids
    assert client.models.retrieve(model).id == model


def a_chat_is_answered():
    reply = chat("Name three rivers.")
    choice = reply.choices[0]
    assert choice.message.role == "assistant" and choice.message.content, reply
    assert choice.finish_reason in ("stop", "length"), reply
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert 0 < reply.usage.completion_tokens <= REPLY_TOKENS_MAX
    return choice.message.content


def a_stream_says_the_same(whole):
    stream = chat("Name three rivers.", stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole, (text, whole)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] in ("stop", "length")
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0


def the_same_prompt_is_not_computed_again():
    question = "Explain in one sentence why the sky is blue, and mention the sun."
    first, second = chat(question), chat(question)
    assert second.choices[0].message.content == first.choices[0].message.content
    tokens, cached = second.usage.prompt_tokens, second.usage.prompt_tokens_details.cached_tokens
    assert cached >= tokens - 1, (tokens, cached)


def a_seed_makes_the_same_choices():
    said = [chat("Tell me a story.", temperature=1.5, seed=7).choices[0].message.content for _ in range(2)]
    assert said[0] == said[1], said


def stop_texts_end_a_reply():
    reply = chat("Count from 1 to 9: 1, 2, 3,", stop=[","], max_tokens=20).choices[0]
    assert "," not in reply.message.content, reply


def a_limit_cuts_a_reply():
    reply = chat("Tell me a long story.", max_tokens=3)
    assert reply.choices[0].finish_reason == "length" and reply.usage.completion_tokens == 3, reply


class City(BaseModel):
    model_config = ConfigDict(extra="forbid")
    country: str = Field(max_length=30)
    population: int = Field(ge=0, le=100_000_000)
    coastal: bool


def a_schema_binds_a_reply():
    reply = client.chat.completions.parse(
        model=model,
        messages=[{"role": "user", "content": "Describe Rome as JSON."}],
        response_format=City,
        temperature=0,
        max_tokens=200,
    )
    assert isinstance(reply.choices[0].message.parsed, City), reply
    streamed = ""
    schema = {"name": "city", "schema": City.model_json_schema()}
    for chunk in chat(
        "Describe Oslo as JSON.",
        max_tokens=200,
        stream=True,
        response_format={"type": "json_schema", "json_schema": schema},
    ):
        streamed += chunk.choices[0].delta.content or ""
    City.model_validate_json(streamed)


def json_is_json():
    reply = chat("Give an object with one key.", response_format={"type": "json_object"}, max_tokens=200)
    if reply.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(reply.choices[0].message.content), dict), reply


def a_grammar_binds_a_reply():
    reply = chat("Is the sky blue?", extra_body={"response_format": {"type": "grammar", "grammar": 'start: "yes" | "no"'}})
    assert reply.choices[0].message.content in ("yes", "no"), reply


def a_tool_is_called():
    question = {"role": "user", "content": "What is the weather in Paris?"}
    for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
        reply = client.chat.completions.create(
            model=model, messages=[question], tools=[WEATHER], tool_choice=choice, temperature=0, max_tokens=120
        )
        assert reply.choices[0].finish_reason == "tool_calls", reply
        call = reply.choices[0].message.tool_calls[0]
        assert call.function.name == "get_weather" and call.type == "function", call
        assert set(json.loads(call.function.arguments)) == {"city"}, call
    # And its answer is read: the conversation so far is not computed again.
    answer = {"role": "tool", "tool_call_id": call.id, "content": "18 degrees, rain"}
    after = client.chat.completions.create(
        model=model,
        messages=[question, reply.choices[0].message, answer],
        tools=[WEATHER],
        temperature=0,
        max_tokens=REPLY_TOKENS_MAX,
    )
    assert after.usage.prompt_tokens_details.cached_tokens >= reply.usage.prompt_tokens, after.usage


def a_call_is_streamed():
    stream = chat("Weather in Oslo?", tools=[WEATHER], tool_choice="required", stream=True, max_tokens=120)
    name, arguments, reason = "", "", None
    for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.index == 0
            name += call.function.name or ""
            arguments += call.function.arguments or ""
        reason = chunk.choices[0].finish_reason or reason
    assert (name, reason) == ("get_weather", "tool_calls"), (name, reason)
    assert set(json.loads(arguments)) == {"city"}, arguments


def a_stream_that_is_left_holds_nobody_up():
    stream = chat("Write a very long story.", max_tokens=2000, stream=True)
    next(iter(stream))
    stream.close()
    # 2000 tokens would take longer than this may.
    assert chat("Hi", max_tokens=2, timeout=30).choices


def texts_are_embedded():
    texts = ["The ship left the harbour.", "A boat sails away from the port.", "Bread is baked at night."]
    # The client asks for base64 unless it is told otherwise.
    packed = client.embeddings.create(model=EMBEDDER, input=texts)
    plain = client.embeddings.create(model=EMBEDDER, input=texts, encoding_format="float")
    vectors = [e.embedding for e in packed.data]
    for vector, same in zip(vectors, plain.data, strict=True):
        # One is 32 bits, the other the shortest decimal that means them.
        assert all(abs(a - b) < 1e-7 for a, b in zip(vector, same.embedding, strict=True))
    assert [len(v) for v in vectors] == [384] * 3 and packed.usage.prompt_tokens > 15
    near, far = (sum(a * b for a, b in zip(vectors[0], v)) for v in vectors[1:])
    assert near > far + 0.2, (near, far)


def errors_have_their_classes():
    refused(
        openai.NotFoundError,
        "model_not_found",
        lambda: client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hi"}]),
    )
    refused(openai.NotFoundError, "model_not_found", lambda: client.embeddings.create(model="ada", input="x"))
    refused(openai.BadRequestError, "unsupported_parameter", lambda: chat("Hi", n=2))
    refused(openai.BadRequestError, "invalid_value", lambda: chat("Hi", temperature=9))
    bad_schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "colour"}}}
    error = refused(openai.BadRequestError, "invalid_schema", lambda: chat("Hi", response_format=bad_schema))
    assert error.param == "response_format.json_schema.schema", error.param
    refused(openai.BadRequestError, "context_length_exceeded", lambda: chat("word " * 20_000))
    refused(openai.BadRequestError, "context_length_exceeded", lambda: chat("word " * 20_000, stream=True))
    stranger = openai.OpenAI(base_url=base_url, api_key="wrong", max_retries=0)
    refused(openai.AuthenticationError, "invalid_api_key", lambda: stranger.models.list())


def main():
    models_are_listed()
    whole = a_chat_is_answered()
    a_stream_says_the_same(whole)
    for check in (
        the_same_prompt_is_not_computed_again,
        a_seed_makes_the_same_choices,
        stop_texts_end_a_reply,
        a_limit_cuts_a_reply,
        a_schema_binds_a_reply,
        json_is_json,
        a_grammar_binds_a_reply,
        a_tool_is_called,
        a_call_is_streamed,
        a_stream_that_is_left_holds_nobody_up,
        texts_are_embedded,
        errors_have_their_classes,
    ):
        print(check.__name__, flush=True)
        check()
    print("all is well")


main()
