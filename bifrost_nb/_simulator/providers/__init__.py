"""The words of other providers' SDKs, which the gateway speaks on routes of their own."""

from .anthropic import Anthropic
from .base import ProviderFormat
from .bedrock import Bedrock
from .cohere import Cohere
from .counting import AnthropicCount, GenAICount
from .delivery import ForeignDelivery
from .genai import GenAI

__all__ = [
    "Anthropic",
    "AnthropicCount",
    "Bedrock",
    "Cohere",
    "ForeignDelivery",
    "GenAI",
    "GenAICount",
    "ProviderFormat",
]
