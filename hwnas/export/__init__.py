"""Static networks become files that run without hwnas: ONNX and TFLite, float and int8, with the checks that make them trustworthy."""
