"""All that a user may write, for the type checker: never run, always checked. A new public name gets a line here."""

from __future__ import annotations

from typing import Any, assert_type

import pandas as pd
import polars as pl
import pyarrow as pa
from matplotlib.axes import Axes

import bifrost_nb as bf
from bifrost_nb import scorers


def blocking(frame: pd.DataFrame) -> None:
    """The blocking forms, their options and what they return."""
    client = bf.Client("demo", virtual_key="sk-bf-1", timeout=bf.Timeouts(total=30), retries=0, headers={"x-team": "a"})
    bf.Client("demo", redact=lambda text, what: None if what == "prompt" else text.lower())
    run = client.complete(
        "azure/fast",
        "Hi",
        max_tokens=4,
        temperature=0.0,
        stop=["\n"],
        logprobs=2,
        fallbacks=["openai/x"],
        tags={"a": 1},
    )
    assert_type(run, bf.Run)
    assert_type(run.total_ms, float | None)
    assert_type(client.complete("azure/fast", ["Hi", "Ho"], n=2, route="v1", extra={"top_k": 3}).texts, list[str])
    client.chat("openai/gpt-4o-mini", "Hi", system="Be brief.", max_completion_tokens=20, tools=[{"type": "function"}])
    client.chat("openai/gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}])
    with client.stream("azure/fast", "Hi") as stream:
        for piece in stream:
            assert_type(piece, str)
        stream.cancel()
    assert_type(stream, bf.Stream)
    with client.stream_chat("openai/gpt-4o-mini", "Hi") as chat:
        assert_type([piece.at_ms for piece in chat.pieces()], list[float])
    assert_type(client.respond("openai/gpt-4o-mini", "Hi", instructions="Be brief.", max_output_tokens=20), bf.Run)
    client.respond("openai/gpt-4o-mini", [{"role": "user", "content": "Hi"}], previous_response_id="resp_1", tools=[])
    with client.stream_respond("openai/gpt-4o-mini", "Hi", reasoning={"effort": "low"}, text={}) as response:
        assert_type(list(response), list[str])
    batch = bf.compare(["openai/gpt-4o-mini"], "Hi", mode="batch")
    assert_type(batch, bf.BatchComparison)
    assert_type(batch.collect(wait=1.0).pending, int)
    assert_type(client.count_tokens("openai/gpt-4o-mini", [{"role": "user", "content": "Hi"}]), int | None)
    drawn = client.image("openai/gpt-image-1", "A cat", n=2, size="1024x1024", path="cat.png")
    assert_type(bf.compare(["openai/gpt-image-1"], "A cat", api="image", folder="pictures"), bf.Comparison)
    assert_type(drawn.images, list[bytes])
    spoken = client.speech("openai/gpt-4o-mini-tts", "Hi", voice="alloy", response_format="wav")
    assert_type(spoken.audio_bytes, bytes)
    assert_type(client.transcribe("openai/whisper-1", spoken, language="en").text, str)
    client.speech("openai/gpt-4o-mini-tts", "Hi")  # type: ignore[call-arg]
    embedded = client.embed("openai/text-embedding-3-small", ["Hi", "Ho"], dimensions=64, encoding_format="base64")
    assert_type(embedded.embeddings, list[list[float]])
    assert_type(embedded.embedding_shape, list[int])
    assert_type(embedded.embedding_array.shape, tuple[Any, ...])
    client.complete("azure/fast", "Hi", max_tokns=4)  # type: ignore[call-arg]
    client.respond("azure/fast", "Hi", max_tokens=4)  # type: ignore[call-arg]
    client.embed("azure/embeddings", "Hi", encoding_format="hex")  # type: ignore[arg-type]


async def awaited() -> None:
    """The async forms take the same."""
    client = bf.Client()
    assert_type(await client.acomplete("azure/fast", "Hi", seed=1), bf.Run)
    assert_type(await client.achat("openai/gpt-4o-mini", "Hi", top_logprobs=2), bf.Run)
    assert_type(await client.arespond("openai/gpt-4o-mini", "Hi", store=False), bf.Run)
    assert_type(await client.aimage("openai/gpt-image-1", "A cat"), bf.Run)
    assert_type(await client.aspeech("openai/gpt-4o-mini-tts", "Hi", voice="alloy"), bf.Run)
    assert_type(await client.atranscribe("openai/whisper-1", b"ID3"), bf.Run)
    assert_type(await client.aembed("openai/text-embedding-3-small", "Hi"), bf.Run)
    async with client.astream_respond("openai/gpt-4o-mini", "Hi") as response:
        assert_type(response, bf.AsyncStream)
    async with client.astream("azure/fast", "Hi") as stream:
        async for piece in stream:
            assert_type(piece, str)
    assert_type(stream, bf.AsyncStream)
    async with client.astream_chat("openai/gpt-4o-mini", "Hi") as chat:
        assert_type(chat.run, bf.Run)


def frames() -> None:
    """The log and its frames."""
    assert_type(bf.runs(since="1d", deployment="azure/fast", status="ok"), pd.DataFrame)
    assert_type(bf.runs("arrow", since="1d"), pa.Table)
    assert_type(bf.runs(to="polars", limit=3), pl.DataFrame)
    bf.runs("spark")  # type: ignore[call-overload]
    log = bf.run_log()
    assert_type(log, bf.RunLog)
    log.export("runs.parquet")
    assert_type(next(log.read_each(status="ok")), bf.Run)
    assert_type(bf.to_frame(log.read()), pd.DataFrame)
    assert_type(bf.to_frame(log.read(), to="polars"), pl.DataFrame)
    assert_type(log.frame("arrow"), pa.Table)
    assert_type(bf.RunLog("x.jsonl").frame(limit=3), pd.DataFrame)
    assert_type(bf.RunLog("x.jsonl", redact=lambda text, what: text).read()[0].redacted, list[str])


def comparing(inputs: pd.DataFrame) -> None:
    """Comparisons."""
    comparison = bf.compare(
        ["azure/fast", {"deployment": "azure/large", "temperature": 0, "name": "cold"}],
        {"short": "{{product}}", "long": "Write about {{product}}."},
        inputs=inputs,
        repeats=3,
        api="chat",
        max_tokens=60,
    )
    bf.compare(
        ["openai/gpt-4o-mini", {"deployment": "azure/gpt-4o", "tools": []}],
        messages=[{"role": "user", "content": [{"type": "text", "text": "What is {{it}}?"}]}],
        inputs=inputs,
        images=["photo"],
        response_format={"type": "json_object"},
    )
    bf.compare(["openai/gpt-4o-mini"], "{{it}}", inputs=inputs, schema={"type": "object"}).disagreements()
    assert_type(bf.fill(inputs, "{{it}}", schema={"type": "object"}, deployment="openai/gpt-4o-mini"), pd.DataFrame)
    typed = bf.Client("demo").chat("openai/gpt-4o-mini", "Hi", schema={"type": "object"})
    assert_type((typed.valid, typed.valid_error), tuple[bool | None, str | None])
    early = bf.compare(
        ["openai/gpt-4o-mini", "azure/gpt-4o"],
        "{{it}}",
        inputs=inputs,
        score=scorers.exact("expected"),
        until="decided",
        metric="score",
        margin=0.05,
        max_cost_usd=2,
    )
    if early.decision is not None:
        assert_type((early.decision.decided, early.decision.names), tuple[bool, list[str]])
    assert_type(comparison, bf.Comparison)
    assert_type(comparison.frame, pd.DataFrame)
    assert_type(comparison.wait_for_costs(5), int)
    assert_type(comparison.costs_awaited, int)
    assert_type(comparison.summary(), pd.DataFrame)
    comparison.plot.latency(ax=None)
    assert_type(comparison.score(scorers.exact("expected")), bf.Comparison)
    comparison.score(
        mentions=scorers.contains("must_mention"),
        dated=scorers.regex(r"\d{4}"),
        total=scorers.number("total", rel=0.01, abs=0.5),
        parses=scorers.json_valid(),
        right=scorers.fields({"currency": "EUR"}),
        looked_up=scorers.called("weather", city="city"),
        brief=scorers.length(max=400, unit="words"),
        mark=scorers.bounded(lambda run, row: 7, 0, 10),
        near=scorers.similar("expected", deployment="openai/text-embedding-3-small"),
        grade=bf.scorers.rubric(
            "Is it in {{source}}?", judge={"deployment": "openai/gpt-4o"}, scale={"no": 0, "yes": 1}
        ),
        mine=lambda run, row: scorers.Score(len(run.text), reason="its length", label="short"),
        max_cost_usd=1.0,
        fresh=False,
    )
    judgement = comparison.judge(
        "Which helps more?", judge="openai/gpt-4o", limit=40, seed=1, by="template", names=["a", "b"]
    )
    assert_type(judgement.frame, pd.DataFrame)
    assert_type(judgement.ranking(), pd.DataFrame)
    assert_type(judgement.preferences, pd.DataFrame)
    assert_type((judgement.cost_usd, judgement.flips), tuple[float | None, int])
    assert_type(comparison.judging_cost_usd, float | None)
    agreed = comparison.agreement("score_grade", "rating", threshold=0.5)
    assert_type((agreed.n, agreed.share, agreed.kappa, agreed.low, agreed.high), tuple[int, float, float, float, float])
    assert_type(agreed.confusion, pd.DataFrame)
    assert_type(agreed.disagreements, pd.DataFrame)
    comparison.agreement(judgement, comparison.vote(by="template"))
    assert_type(comparison.plot.scores("grade"), Axes)
    assert_type(comparison.plot.cost(by="template", names=["a"]), Axes)
    assert_type(comparison.plot.tradeoff(x="cost_usd", y="score"), Axes)
    assert_type(comparison.plot.agreement("score_grade", "rating"), Axes)
    print(comparison.difference("azure/fast", "cold", "total_ms").verdict)
    found = comparison.gate("cold", baseline="main.html", baseline_variant="azure/fast", score="better", p95_ms=1500)
    assert_type(found, bf.Gate)
    assert_type(found.exit_status, int)
    assert_type([check.sentence for check in found.checks], list[str])
    assert_type(bf.gate(comparison.frame, "cold", baseline=comparison.frame, right=0.9).frame, pd.DataFrame)


def trying(frame: pd.DataFrame) -> None:
    """Playground and replay."""
    assert_type(bf.playground(), bf.Playground)
    judged = bf.playground(["azure/fast"], "{{a}}", inputs=frame, score=bf.scorers.exact("expected"))
    assert_type(judged.update(score=None, scores=[]), bf.Playground)
    talk = bf.playground([{"deployment": "azure/fast", "temperature": 0}], {"short": "Hi"}, pictures=["photo.png"])
    assert_type(talk.go_on("azure/fast").use("short"), bf.Playground)
    assert_type(bf.playground(["openai/gpt-4o"], "Hi", schema={"type": "object"}).go_on(each=True), bf.Playground)
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    bf.compare([{"deployment": "openai/gpt-4o", "history": turns}], "A lamp.")
    bf.compare(["openai/whisper-1"], inputs={"clip": ["a.mp3"]}, sounds="clip", api="transcription")
    assert_type(talk.keep("short").prompt, str)
    assert_type(str(talk.diff("short")), str)
    assert_type(bf.replay(frame, ["azure/fast"]), bf.Replayed)
    assert_type(bf.replay(frame, ["azure/fast"]).variants, list[str])
    assert_type(bf.replay(frame, ["azure/fast"]).summary(by="template"), pd.DataFrame)
    assert_type(bf.from_notebook("x.ipynb"), pd.DataFrame)


def gateways() -> None:
    """The embedded gateway."""
    with bf.local_gateway(seed=1, dialect="1.5") as gateway:
        assert_type(gateway, bf.LocalGateway)
        bf.Client(gateway.url)
    assert_type(bf.allow_nested_loops(), str)


def errors() -> None:
    """What may be raised, and what it carries."""
    try:
        bf.Client().complete("azure/fast", "Hi")
    except bf.RateLimited as error:
        assert_type(error.retry_after_s, float | None)
    except (bf.AuthenticationFailed, bf.BudgetExceeded, bf.NotFound) as error:
        assert_type(error.status, int | None)
    except bf.GatewayError as error:
        assert_type(error.run, bf.Run | None)
    except bf.TimedOut as error:
        assert_type(error.phase, str | None)
    except bf.StreamInterrupted as error:
        assert_type(error.text, str)
    except (bf.ConnectionFailed, bf.ProtocolError, bf.LogError, bf.TemplateError, bf.ConfigurationError) as error:
        assert_type(error.hint, str | None)
    except bf.BifrostError as error:
        assert_type(error.message, str)


def gateway_data() -> None:
    """The gateway's own data, and a gateway of one's own."""
    client = bf.Client("demo")
    assert_type(bf.models(client), pd.DataFrame)
    assert_type(bf.providers(), pd.DataFrame)
    assert_type(bf.virtual_keys(client=client), pd.DataFrame)
    assert_type(bf.gateway_logs(since="1d", provider=["azure"], status="ok", limit=9, list_models=True), pd.DataFrame)
    bf.gateway_logs(finish_reason="length", session_id="s1", tags={"team": "a"}, text="tides", virtual_key_id=["id"])
    bf.gateway_logs(min_tokens=1, max_tokens=1_000)
    assert_type(bf.gateway_stats(since="1d", client=client), pd.DataFrame)
    assert_type(bf.budgets(client), pd.DataFrame)
    assert_type(bf.rate_limits(), pd.DataFrame)
    assert_type(bf.routing_rules(client), pd.DataFrame)
    assert_type(bf.mcp_tools(client), pd.DataFrame)
    assert_type(bf.mcp_logs(since="1h", server="sums", tool=["add"], status="error", limit=9), pd.DataFrame)
    frame = bf.gateway_histogram("latency", since="6h", model="fast")
    assert_type(bf.gateway_chart(frame), Axes)
    bf.gateway_histogram("latencies")  # type: ignore[arg-type]
    found = bf.reconcile(since="1h", client=client, fill=True)
    assert_type(found, bf.Reconciliation)
    assert_type(found.differences, pd.DataFrame)
    admin = bf.Admin(client, admin_user="admin", admin_password="word")
    assert_type(admin.prompts(), pd.DataFrame)
    assert_type(admin.budgets(), pd.DataFrame)
    assert_type(admin.rate_limits(), pd.DataFrame)
    assert_type(admin.routing_rules(), pd.DataFrame)
    assert_type(admin.mcp_tools(), pd.DataFrame)
    assert_type(admin.mcp_logs(since="1h", tool="add"), pd.DataFrame)
    assert_type(admin.prompt("team/first", create=True), bf.Prompt)
    assert_type(admin.reconcile(since=None), bf.Reconciliation)
    assert_type(bf.doctor(client), bf.Doctor)
    assert_type(bf.doctor().healthy, bool)
    azure = {"key": "env.AZURE_KEY", "endpoint": "https://x.openai.azure.com", "deployments": ["fast"]}
    with bf.launch_gateway(providers={"openai": "env.OPENAI_API_KEY", "azure": azure}, version="2.2.5") as gateway:
        assert_type(gateway, bf.LaunchedGateway)
        assert_type(gateway.url, str)
    bf.launch_gateway({"providers": {}}, binary="bifrost-http", timeout=30).stop()


def other_sdks(boto3_client: object) -> None:
    """Other people's clients, recorded."""
    client = bf.Client("demo")
    bf.sdk("openai", client=client, tags={"team": "a"}, max_retries=0).chat.completions.create()
    bf.sdk("anthropic", asynchronous=True).messages.create()
    bf.sdk("langchain", model="azure/fast").invoke("Hi")
    bf.sdk("open-ai")  # type: ignore[arg-type]
    bf.recording_client(client, library="httpx2", timeout=30).close()
    bf.recording_async_client(tags={"team": "a"}).build_request("GET", "/")
    bf.recording_boto3(boto3_client, client).converse()


def load() -> None:
    """The load curve."""
    curve = bf.load_curve("azure/fast", "Hi", rates=[1, 2.5], slo={"ttft_ms": 800}, max_cost_usd=1.0, max_tokens=4)
    assert_type(curve, bf.LoadCurve)
    assert_type(curve.rate, float | None)
    assert_type(curve.frame, pd.DataFrame)
    assert_type(curve.runs, pd.DataFrame)
    assert_type(curve.plot(), Axes)


def repository(run: bf.Run) -> None:
    """The gateway's prompt repository."""
    assert_type(bf.prompts(), pd.DataFrame)
    prompt = bf.prompt("team/tagline", version=2)
    assert_type(prompt, bf.Prompt)
    assert_type(
        bf.prompt("team/new", create=True).commit("Hi {{x}}", message="first", deployment="openai/x"), bf.Prompt
    )
    assert_type(prompt.headers, dict[str, str])
    assert_type(prompt.used_by(run), bool | None)


def handed_on(comparison: bf.Comparison) -> None:
    """Spans for OpenTelemetry, a run of MLflow."""
    assert_type(bf.export_mlflow(comparison, experiment="taglines", tags={"team": "blue"}, report=False), str)
    assert_type(bf.export_spans(comparison, "http://localhost:4318", headers={"x-key": "k"}, content=True), int)
    comparison.to_csv("runs.csv")
    bf.export_spans(bf.run_log().read(since="1d"))
    bf.export_spans([1])  # type: ignore[list-item]
    bf.Client("demo", traceparent=True)
