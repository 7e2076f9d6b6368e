"""Measuring models on devices: channels to agents, sessions of timed models, checks of what a device is.

Transports register themselves in `hwnas.profiler.channel.LAUNCHERS` when this package is imported.
"""

from hwnas.profiler import adb as adb
from hwnas.profiler import local as local
from hwnas.profiler import ssh as ssh
