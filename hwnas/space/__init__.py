"""Search-space families: what can be chosen and which blocks it is made of. No torch here. Importing the package registers its families."""

from hwnas.space import mobilenet_v3, nas_bench_201, proxyless

__all__ = ["mobilenet_v3", "nas_bench_201", "proxyless"]
