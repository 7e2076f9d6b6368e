"""Images with labels: the built-in set, a folder of class folders, or an npz file, as one `Dataset`."""

from hwnas.data.batches import augment, batches
from hwnas.data.collection import PARTS
from hwnas.data.dataset import Dataset, Part
from hwnas.data.load import BUILT_IN, Limits, load_dataset
from hwnas.data.preprocessing import Preprocessing

__all__ = ["BUILT_IN", "PARTS", "Dataset", "Limits", "Part", "Preprocessing", "augment", "batches", "load_dataset"]
