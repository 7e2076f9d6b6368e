"""hwnas: measure a device, search a once-trained supernet per latency budget, export what was verified on the device."""

__version__ = "0.1.0"
