"""In what the embedded gateway's answers may differ from the captures: kinds of difference, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: what is said in full by `line`, in which captures and versions (patterns), and why it is left."""

    reason: str
    line: str = ".*"
    captures: str = ".*"
    versions: str = ".*"

    def holds(self, version: str, capture: str, line: str) -> bool:
        """Whether a difference is of this kind."""
        found = re.fullmatch(self.versions, version) and re.fullmatch(self.captures, capture)
        return bool(found and re.fullmatch(self.line, line, re.DOTALL))


_TOKENS = r"(prompt|completion|total|cached_read)_tokens"
_MODELS = r"gov_(models_(no_)?vk|auth(True|False)_models)"
_TIMED = r"(096|099|10[0-8])_.*"

KINDS = [
    # -- what the issue of this repository, or its specification, wants otherwise
    Kind("a value that is not known is left out of a chunk, never null, as the specification wants",
         line=r"~\.usage is missing"),
    Kind("log probabilities have the name and the place that the specification gives them; the real ones lose them",
         captures=r"(001|011|013)_.*", versions=r"1\.3\.63|1\.4\.0", line=r"(~\.)?choices\[\]\.log_probs is new"),
    # -- the words of a simulated model, and of its provider
    Kind("a JSON parser's own words behind the gateway's; the embedded one names the field",
         captures=r"(032|034|054|057)_.*",
         line=r"error\.message is '([Ii])nvalid request format: .*', not '\1nvalid request format: .*"),
    Kind("the captures' Gemini and Cohere counted tokens of their own, some of them of a cache or of thoughts",
         captures=r"(018|019|022|023|073|074)_.*",
         line=rf"(~\.)?usage\.{_TOKENS} is \d+, not \d+|(~\.)?usage\.prompt_tokens_details is missing"),
    Kind("the captures' Anthropic told of a cache and of thoughts where there were none", captures=r"017_.*",
         line=r"usage\.(prompt|completion)_tokens_details is missing"),
    Kind("the captures' Gemini counted thoughts, a cache and kinds of content", captures=r"(069|070|071)_.*",
         line=r"(~\.)?usageMetadata\.(cachedContentTokenCount|thoughtsTokenCount|(candidates|prompt)TokensDetails)"
         r" is missing"),
    Kind("a real Anthropic's stream begins with one token of output; that of the captures told all",
         captures=r"066_.*|mid_anthropic_error", line=r"~\.message\.usage\.output_tokens is 1, not \d+"),
    Kind("the captures' providers cut their words into other pieces", captures=r"(011|021)_.*|mid_chat_error_of_.*",
         line=r"~\.extra_fields\.chunk_index is \d+, not \d+"),
    Kind("the captures' provider broke its Responses stream with a chat's error, of which gateways make an event"
         " without a type; here it is OpenAI's own event, of which Bifrost's engine was measured to make this",
         captures=r"mid_responses_error.*",
         line=r"frames .*\.delta error, not .*\.delta empty|~\.(content_index|delta|error|error\.type|is_bifrost_error"
         r"|item|item_id|logprobs|output_index|sequence_number|type|extra_fields\.[a-z_.]+) is .*"),
    # -- what stood behind the gateways of the captures
    Kind("one provider of the captures refused connections, so its models could not be listed",
         captures=rf"(084|085)_.*|{_MODELS}", line=r"key_statuses\[\]\.(error is missing|(provider|status) is '.*)"),
    Kind("which provider says first that a virtual key is missing is not the same twice", captures=r"gov_models_no_vk",
         line=r"extra_fields\.provider is '.*"),
    Kind("the simulated models tell in every dialect what they take and who owns them, so that this can be tried; real"
         " gateways know it of some providers' models, and up to 1.5.1 no lengths of most",
         captures=rf"(084|085)_.*|{_MODELS}",
         line=r"data\[\]\.(architecture|context_length|max_(in|out)put_tokens|owned_by|supported_methods) is new"),
    Kind("1.4.0 of the captures had no price list", versions=r"1\.4\.0",
         captures=r"(084|085|090|096)_.*", line=r"data\[\]\.pricing is new|models is list, not NoneType"
         r"|logs\[\]\.cost is new"),
    Kind("the providers of the captures stood at addresses of their own, and their order is not the same twice",
         captures=r"(087|089|090)_.*|gov_auth(True|False)_(basic|providers)",
         line=r"providers\[\]\.network_config\.base_url is missing|(models)?\[\]\.provider is '.*"
         r"|providers\[\]\.keys\[\]\.azure_key_config is new"),
    Kind("1.4.0 says more of a provider's key where it keeps its configuration in a database", versions=r"1\.4\.0",
         captures=r"gov_auth.*", line=r"providers\[\]\.keys\[\]\.(enabled|config_hash) is missing"),
    Kind("of a gateway's settings only those that somebody reads are simulated", captures=r"092_.*",
         line=r"(client_config\.\w+|auth_config|framework_config|is_git_available|is_object_storage_connected)"
         r" is missing"),
    Kind("metrics are those of the gateway's process; there is none behind", captures=r"109_.*",
         line=r"content-type text/html, not text/plain|header cache-control is new"),
    # -- virtual keys
    Kind("the planted virtual keys are there without any set-up, each with a budget, none with providers",
         captures=r"(093|094)_.*|gov_(vks|quota_vk)",
         line=r"virtual_keys (has 4 items, not 0|is list, not NoneType)|budgets has 1 items, not 0"
         r"|provider_configs has 0 items, not 8|virtual_keys\[\]\.(budget|budgets|budget_id) is new"
         r"|virtual_keys\[\]\.(rate_limit|rate_limit_id) is missing|virtual_keys\[\]\.provider_configs has 0 .*"),
    Kind("1.3.63 and 1.4.0 answer with their page until virtual keys are switched on, which they are here",
         captures=r"(093|094|095)_.*", versions=r"1\.3\.63|1\.4\.0",
         line=r"content-type application/json, not text/html|header cache-control is missing"
         r"|one is JSON, the other is not|status 404, not 200"),
    Kind("the planted budget is spent to the last of 10 dollars, that of the captures was next to nothing",
         captures=r"gov_over_budget.*", line=r"error\.message is 'Budget exceeded: VK budget exceeded: 10\.0000 .*"),
    # -- the log
    Kind("1.4.0 names some other request as the parent", captures=r"(096|098)_.*", versions=r"1\.4\.0",
         line=r"logs\[\]\.parent_request_id is NoneType, not str"),
    Kind("2.0 was asked before its log had the last calls; here it is waited for them", versions=r"2\.0\..*",
         captures=r"(096|098|102|103|108)_.*",
         line=r"logs\[\]\.(cost|input_history|model|object|provider|responses_input_history|selected_key|status"
         r"|token_usage)(\.\w+)? is .*|buckets\[\]\.by_model\.text-embedding-3-small is new"
         r"|rankings\[\]\.(model|provider) is '.*"),
    Kind("what the calls before added up to, of other words", captures=_TIMED,
         line=rf"((logs|buckets|rankings)\[\]\.)?(token_usage\.)?{_TOKENS} is \d+, not \d+"),
    Kind("1.5.1 knows no price of a deployment that was asked for by an escaped name", captures=r"102_.*",
         versions=r"1\.5\.1", line=r"buckets\[\]\.by_model\.big%20window is new"),
    Kind("which of two models that were asked equally often stands first is not the same twice", captures=r"108_.*",
         line=r"rankings\[\]\.(model|provider) is '.*"),
]  # fmt: skip
"""The first that holds counts; one that no difference is of fails the test, as it was corrected."""
