"""The agent that runs on a device: loads models in the runtimes it finds there, times them and reports as JSON lines.

Standard library only, Python 3.8 and newer; runtimes and numpy are used where the device has them. Start it with ``python -m hwnas_agent``
or as a zipapp. It knows nothing of the host but the protocol in `hwnas_agent.wire`.
"""

__version__ = "0.1.0"
