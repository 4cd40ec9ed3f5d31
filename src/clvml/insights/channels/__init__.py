"""What a customer of each acquisition channel is worth, against what they cost."""

from clvml.insights.channels.result import Channels, ChannelValue
from clvml.insights.channels.values import SMALL, channel_values

__all__ = ["SMALL", "ChannelValue", "Channels", "channel_values"]
