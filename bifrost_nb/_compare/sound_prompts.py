"""The prompts of a comparison of transcriptions: a sound for each row of inputs, and a hint beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

from .._client.media import Sound, sound_of
from .._prompts.inputs import Rendered, prompts_of, rows_of
from .._safe_text import plain, quoted
from ..errors import ConfigurationError
from .identity import digest_of, numbered, shown_values
from .planned_prompt import PlannedPrompt

if TYPE_CHECKING:
    from .._runs.run import Run
    from .plan import Trial

__all__ = ["sound_prompts", "sounds_sent"]


def sound_prompts(templates: Any, inputs: Any, column: Any, by_row: Set[str]) -> tuple[PlannedPrompt, ...]:
    """A prompt for each row's sound (and template of a hint). Raises ConfigurationError and TemplateError."""
    example = "compare([...], inputs={'clip': ['a.mp3']}, sounds='clip', api='transcription')"
    if not isinstance(column, str):
        raise ConfigurationError(
            f"sounds must be the name of a column of inputs, not {quoted(column, 80)}.", hint=f"Like {example}."
        )
    rows = rows_of(inputs)
    if column not in rows[0]:
        raise ConfigurationError(f"inputs has no column {plain(column, 60)!r} for sounds.", hint=f"Like {example}.")
    if templates is None:
        rendered = [Rendered(None, "", row, {}) for row in rows]
    else:
        rendered = prompts_of(templates, inputs, also={column, *by_row})
        rows = [one.values for one in rendered]
    heard: dict[int, Sound] = {}
    for place, row in enumerate(rows):
        if id(row) not in heard:
            heard[id(row)] = _heard(row.get(column), column, place)
    seen: Counter[str] = Counter()
    known: Counter[str] = Counter()
    of_row: dict[int, str] = {}
    prompts = []
    for template, hint, values, _ in rendered:
        sound = heard[id(values)]
        if id(values) not in of_row:
            shown = shown_values({**values, column: sound.digest})
            of_row[id(values)] = numbered(digest_of(["input", shown], 12), known)
        prompt_id = numbered(digest_of(["transcription", hint, sound.digest], 12), seen)
        prompts.append(
            PlannedPrompt(
                prompt_id, sound.words, template, values, of_row[id(values)], sounds={column: sound},
                hint=str(hint) or None,
            )
        )  # fmt: skip
    return tuple(prompts)


def _heard(value: Any, column: str, number: int) -> Sound:
    try:
        return sound_of(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{column!r} in row {number} of inputs: {error.message}", hint=error.hint) from None


def sounds_sent(trials: Sequence[Trial], runs: Sequence[Run]) -> dict[str, list[str]]:
    """For each of `runs` (by its id) the ``data:`` address of the sound it wrote down, where a page can play it."""
    from .._display.media import sound_url

    prompts = {id(trial.prompt): trial.prompt for trial in trials}
    urls = {key: sound_url(sound.content) for key, one in prompts.items() for sound in one.sounds.values()}
    return {
        run.run_id: [url]
        for trial, run in zip(trials, runs, strict=True)
        if (url := urls.get(id(trial.prompt))) is not None
    }
