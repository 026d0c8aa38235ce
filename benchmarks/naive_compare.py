"""What most people write: load both files with torch, take float32 norms of each tensor."""

import sys

import torch
from safetensors.torch import load_file

a, b = load_file(sys.argv[1]), load_file(sys.argv[2])
total = 1.0
for name in a:
    relative = float(torch.norm(b[name] - a[name]) / torch.norm(a[name]))
    total *= 1.0 + relative
    print(name, relative)
print("deep relative trust", total - 1.0)
