"""The device agent as a web page, for devices with a browser and no Python. The files in ``page`` are served as they are: no build step.

The page speaks the messages of `hwnas_agent.wire` over HTTP and measures as `hwnas_agent.measure` does; see ``page/measure.js``.
"""
