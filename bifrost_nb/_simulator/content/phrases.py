"""The simulator's vocabulary: sentence patterns for `prose.py`.

``{topic}`` is what the prompt is about, ``{Topic}`` the same with a capital, ``{a}`` and ``{b}`` single words of it.
"""

from __future__ import annotations

__all__ = [
    "CLOSINGS",
    "CODE",
    "COMPANIONS",
    "CONTINUATIONS",
    "EXPLANATIONS",
    "GREETINGS",
    "HALVES",
    "ITEMS",
    "NUMBERS",
    "OPENERS",
    "POEM",
    "STARTS",
    "STOP_WORDS",
    "TAGLINES",
    "THOUGHTS",
]

NUMBERS = "two three four five six seven eight nine ten"

STOP_WORDS = """
a an the and or but if then than so as of in on at to for from with without by about into over under between
is are was were be been being am do does did done can could will would shall should may might must not no nor it its
this that these those there here i you he she we they me him her us them my your our their his hers what which who
whom whose why how when where please just only also very more most some any each every all both few many much one two
three four five six seven eight nine ten word words sentence sentences paragraph brief briefly short long good bad
write give make list name tell explain describe compare show create generate summarise summarize translate answer
question say use using return reply respond output format markdown table code function python script json text
tagline slogan headline title poem haiku story ideas idea steps step reasons reason tip tips ways points point top best
product company following example examples help need want like get let upon once time times assistant user system
report essay article hello there hi hey thing things works work go goes yes true false because sat said say got had has
have having went goes came come see saw know text positive negative classify sentiment review while since until again
"""
"""Words that tell nothing about the subject of a prompt."""

OPENERS: dict[str, tuple[str, ...]] = {
    "plain": ("",),
    "terse": ("",),
    "chatty": (
        "Good question!",
        "Happy to help with {topic}.",
        "Let's have a look at {topic} together.",
        "Oh, {topic} is a nice one.",
    ),
    "formal": (
        "It is helpful to begin with what {topic} involves.",
        "A careful answer on {topic} rests on a few observations.",
        "Several aspects of {topic} deserve attention.",
    ),
    "playful": (
        "Picture {topic} wearing a party hat.",
        "Buckle up: {topic} is more fun than it looks.",
        "Once you see {topic} this way, you cannot unsee it.",
    ),
}

STARTS: tuple[str, ...] = (
    "At heart, {topic} comes down to a few simple ideas working together.",
    "Most people meet {topic} in everyday life without giving it a name.",
    "There is more order in {topic} than it seems at first.",
    "The short answer: {topic} is what happens when {a} meets {b}.",
    "To understand {topic}, it helps to begin with {a}.",
    "Nobody invented {topic}; it grew, one small step after another.",
)

GREETINGS: tuple[str, ...] = (
    "Hello! What can I do for you today?",
    "Hi there! Ask me anything, and I will do my best.",
    "Good to see you. What shall we look at?",
)

COMPANIONS = ("time", "place", "weather", "light", "patience", "detail")
"""Words that go with any subject, where the prompt offers only one."""

HALVES: tuple[str, ...] = (
    "turned out to be simpler than anyone had expected.",
    "was where it all began, although nobody noticed at the time.",
    "taught us to look twice before we judge.",
    "has always been a matter of patience and good light.",
    "came back the next morning as if nothing had happened.",
)
"""Second halves of a sentence that the prompt has begun."""

CODE: tuple[tuple[str, str], ...] = (
    (
        "values: list[float], limit: int = {limit}) -> list[float]",
        """    \"\"\"The {limit} largest values, without repeats.\"\"\"
    return sorted(set(values), reverse=True)[:limit]""",
    ),
    (
        "items: list[str]) -> dict[str, int]",
        """    \"\"\"How often each item occurs, the most frequent first.\"\"\"
    counts: dict[str, int] = {{}}
    for item in items:
        counts[item] = counts.get(item, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))""",
    ),
    (
        "values: list[float], window: int = {limit}) -> list[float]",
        """    \"\"\"The mean of each window of neighbouring values.\"\"\"
    means = []
    for start in range(len(values) - window + 1):
        means.append(sum(values[start : start + window]) / window)
    return means""",
    ),
)
"""(parameters and result, body) of a function; braces doubled for `str.format`."""

EXPLANATIONS: tuple[str, ...] = (
    "The first thing to notice is how {a} changes when the conditions around it change.",
    "Small differences in {a} add up, which is why two examples rarely look the same.",
    "Think of a river: {topic} follows the easiest path, and the banks shape it over time.",
    "In practice the effect is strongest where {a} and {b} meet.",
    "It helps to measure {a} before and after, because the eye is easily fooled.",
    "What looks complicated from far away turns out to be a short chain of causes and effects.",
    "When {a} grows, {b} usually follows, though seldom at the same pace.",
    "Much of what is said about {topic} is true only within certain limits.",
    "A small experiment at the kitchen table already shows the main point about {a}.",
    "The details matter: timing, scale and {b} each leave their mark on {topic}.",
    "Over the years the picture of {topic} has become simpler, not harder.",
    "One common mistake is to blame {a} for what {b} has done.",
    "If you remember one thing about {topic}, let it be the order in which things happen.",
    "There is a trade-off: more {a} often means less room for {b}.",
    "The same pattern shows up in weather, in music and in the way people queue for coffee.",
    "Seen from the side of {b}, {topic} looks surprisingly different.",
)

CLOSINGS: tuple[str, ...] = (
    "That is the short version of {topic}.",
    "With that in mind, {topic} is easier to work with.",
    "Start small, watch {a} closely, and adjust as you learn.",
    "The rest is practice.",
    "Everything else about {topic} follows from there.",
)

TAGLINES: tuple[str, ...] = (
    "{Topic}: small idea, bright days.",
    "Meet {topic}. Wonder how you managed before.",
    "{Topic}, because good things should be simple.",
    "Less fuss. More {topic}.",
    "{Topic}: made for mornings that start well.",
    "Life is busy. {Topic} is ready.",
    "Bring home {topic}, and let the rest wait.",
    "{Topic}: quietly brilliant, every single day.",
    "Where others stop, {topic} begins.",
    "Say yes to {topic}.",
    "{Topic}: the easy choice you will be proud of.",
    "Your day, powered by {topic}.",
)

CONTINUATIONS: tuple[str, ...] = (
    "there was a small town by the sea where nobody ever locked a door.",
    "In the middle of it stood a workshop full of clocks, and {a} was the reason they all kept time.",
    "Every evening a girl named Mara climbed the hill to look for {a}.",
    "The old keeper had warned her that {topic} does not wait for the impatient.",
    "One night the wind turned, and with it came a sound like a hundred paper boats.",
    "She followed it past the harbour, past the last lamp, until the road itself grew thin.",
    "There, between two stones, lay a letter with her name on it.",
    "It said only this: bring {b}, and do not look back.",
    "Nobody in the town believed her, except the baker, who believed everything before breakfast.",
    "By morning the tide had carried the answer to the doorstep.",
    "From that day on, people spoke of {topic} in a softer voice.",
    "And when the clocks struck seven, each of them struck it together for the first time.",
    "He laughed, put on his coat, and decided that {a} could be found after all.",
    "The stars were out, the kettle was on, and the story had only just begun.",
)

ITEMS: tuple[str, ...] = (
    "Start with {a} and write down what you already know",
    "Set one clear goal for {topic}, no more",
    "Ask someone who has done {a} before",
    "Compare {a} with {b} side by side",
    "Try the cheapest version first",
    "Leave time to look at {b} again tomorrow",
    "Remove one step that nobody would miss",
    "Measure before you change {a}",
    "Share an early draft and listen",
    "Keep what works and name the reason",
    "Plan for the day when {b} fails",
    "Celebrate the first small result",
)

POEM: tuple[str, ...] = (
    "Soft light on {a},",
    "{Topic} waits without a word,",
    "a door left ajar.",
    "The wind counts to ten,",
    "and {b} answers slowly,",
    "as old friends will do.",
    "Nothing hurries here,",
    "not {a}, not the evening rain,",
    "not the turning road.",
)

THOUGHTS: tuple[str, ...] = (
    "The user asks about {topic}, so I should find out what matters most.",
    "First, what is known about {a}?",
    "It could be tempting to start with {b}, but {a} seems closer to the question.",
    "Let me check the order: {a} comes first, then {b}.",
    "A short example would make {topic} easier to follow.",
    "Wait, there is an exception when {b} is missing; it should be mentioned briefly.",
    "That covers it; now to write it down plainly.",
)
