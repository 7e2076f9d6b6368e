"""A MobileNetV3 subnet as an ONNX file that was written by hand for it: what an exporter can at best come out with.

Nothing here is shared with the exporter of the package but the modules' weights: batch norm is folded anew, node by node.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import nn

from hwnas.supernet.static import ConvBnAct, InvertedResidual, Network, SqueezeExcite

OPSET, IR = 17, 8
ACTIVATIONS = {nn.ReLU: "Relu", nn.Hardswish: "HardSwish"}


def handwritten(net: Network, size: int, *, half: bool = False) -> bytes:
    """``net`` for one image of ``size`` x ``size``; with ``half`` all of it in float16, inputs and outputs too."""
    writer = _Hand(np.float16 if half else np.float32)
    x = writer.normed(net.stem, "image")
    for block in net.blocks:
        assert isinstance(block, InvertedResidual)
        x = writer.block(block, x)
    x = writer.normed(net.final_expand, x)
    head = net.head
    x = writer.node("HardSwish", writer.conv(head.mix, writer.node("GlobalAveragePool", x)))
    x = writer.node("Flatten", x)
    writer.node("Gemm", x, writer.weight(head.classifier.weight), writer.weight(head.classifier.bias), name="logits", transB=1)
    kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    taken = helper.make_tensor_value_info("image", kind, [1, net.stem.conv.in_channels, size, size])
    given = helper.make_tensor_value_info("logits", kind, [1, head.classifier.out_features])
    graph = helper.make_graph(writer.nodes, "hand", [taken], [given], writer.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    data: bytes = model.SerializeToString()
    return data


class _Hand:
    def __init__(self, dtype: type[np.float16] | type[np.float32]) -> None:
        self.dtype = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        made = name or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [made], **attributes))
        return made

    def weight(self, value: torch.Tensor | NDArray[np.float64]) -> str:
        array = value.detach().numpy() if isinstance(value, torch.Tensor) else value
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype=self.dtype), name))
        return name

    def conv(self, conv: nn.Conv2d, x: str, norm: nn.BatchNorm2d | None = None) -> str:
        weight = conv.weight.detach().numpy().astype(np.float64)
        bias = np.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().numpy().astype(np.float64)
        if norm is not None:
            mean, var, gamma, beta = (t.detach().numpy().astype(np.float64) for t in _statistics(norm))
            gain = gamma / np.sqrt(var + norm.eps)
            weight, bias = weight * gain[:, None, None, None], beta - mean * gain
        pad, stride = int(conv.padding[0]), int(conv.stride[0])
        inputs = (x, self.weight(weight), self.weight(bias))
        return self.node("Conv", *inputs, kernel_shape=conv.kernel_size, strides=[stride] * 2, pads=[pad] * 4, group=conv.groups)

    def normed(self, layer: ConvBnAct, x: str) -> str:
        made = self.conv(layer.conv, x, layer.bn)
        return made if layer.act is None else self.node(ACTIVATIONS[type(layer.act)], made)

    def gate(self, gate: SqueezeExcite, x: str) -> str:
        squeezed = self.node("Relu", self.conv(gate.reduce, self.node("GlobalAveragePool", x)))
        return self.node("Mul", x, self.node("HardSigmoid", self.conv(gate.expand, squeezed), alpha=1 / 6, beta=0.5))

    def block(self, block: InvertedResidual, x: str) -> str:
        y = x if block.expand is None else self.normed(block.expand, x)
        y = self.normed(block.depthwise, y)
        y = y if block.se is None else self.gate(block.se, y)
        y = self.normed(block.project, y)
        return self.node("Add", x, y) if block.residual else y


def _statistics(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var, norm.weight, norm.bias
