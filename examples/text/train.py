"""Trains the language classifier and writes text.onnx: python examples/text/train.py.

The text is real: the messages of the web framework Django in twelve languages, which its PyPI package contains (BSD-3).
"""

from __future__ import annotations

import re
import sys
import zlib
from pathlib import Path

import django
import numpy as np
import polib
import torch
from torch import nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from straight_through import Binary, BinaryConv, clamp_latent  # noqa: E402

LANGUAGES = ("da", "de", "en", "es", "fi", "fr", "it", "nl", "pl", "pt", "sv", "tr")
WINDOW, BATCH = 48, 256
PLACEHOLDERS = re.compile(r"%\(\w+\)\w|%\w|<[^>]*>|\{[^}]*\}|&\w+;|\S*[/_@]\S*")


def messages() -> dict[str, dict[str, str]]:
    """Language -> English message -> message in that language, without place holders and markup."""
    found: dict[str, dict[str, str]] = {name: {} for name in LANGUAGES}
    for path in sorted(Path(django.__file__).parent.rglob("LC_MESSAGES/django*.po")):
        for entry in polib.pofile(str(path)) if path.parts[-3] in LANGUAGES else ():
            if entry.msgstr and not entry.fuzzy and entry.msgstr != entry.msgid:
                found[path.parts[-3]][entry.msgid] = entry.msgstr
                found["en"][entry.msgid] = entry.msgid
    return {name: {k: " ".join(PLACEHOLDERS.sub(" ", v).split()) for k, v in m.items()} for name, m in found.items()}


def texts(held_out: bool) -> list[np.ndarray]:
    """The bytes of each language, of six in seven messages or of the others: the same messages in all languages."""

    def chosen(message: str) -> bool:
        return (zlib.crc32(message.encode()) % 7 == 0) == held_out

    found = [[text for message, text in sorted(m.items()) if chosen(message)] for m in messages().values()]
    return [np.frombuffer(" ".join(lines).encode(), np.uint8) for lines in found]


class Net(Binary):
    """A two-valued embedding of bytes, two binary convolutions over time, mean over time, one real dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(256, 32) * 0.3)
        self.convs = nn.ModuleList([BinaryConv(32, 96, 4), BinaryConv(96, 128, 3)])
        self.dense = nn.Linear(128, len(LANGUAGES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Bytes [batch, time] -> scores."""
        rows = functional.embedding(x.long(), self.sign(self.table)).transpose(1, 2)
        return self.dense(self.sign(self.convs[1](self.sign(self.convs[0](rows)))).mean(2))


def windows(found: list[np.ndarray], count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Random windows of random languages."""
    y = rng.integers(len(found), size=count)
    first = [rng.integers(len(found[k]) - WINDOW + 1) for k in y]
    x = np.stack([found[k][t : t + WINDOW] for k, t in zip(y, first, strict=True)])
    return torch.from_numpy(x), torch.from_numpy(y)


def train(net: Net, found: list[np.ndarray], rounds: int) -> None:
    """Adam with a falling step."""
    rng = np.random.default_rng(0)
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, rounds)
    net.train()
    for number in range(rounds):
        x, y = windows(found, BATCH, rng)
        loss = functional.cross_entropy(net(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        clamp_latent(net)
        if (number + 1) % 100 == 0:
            print(f"round {number + 1}: loss {loss.item():.3f}", flush=True)


def main() -> None:
    """Train, measure, export. The last round is exported: the test messages choose nothing."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net, learned, held_out = Net(), texts(held_out=False), texts(held_out=True)
    train(net, learned, int(sys.argv[1]) if len(sys.argv) > 1 else 1500)
    net.eval()
    x, y = windows(held_out, 6000, np.random.default_rng(1))
    with torch.no_grad():
        right = float((net(x).argmax(1) == y).float().mean())
    sizes = [sum(map(len, found)) for found in (learned, held_out)]
    print(f"{sizes[0]:,} bytes to learn from, {sizes[1]:,} held out")
    print(f"{100 * right:.1f} % of held-out windows of {WINDOW} bytes right")
    torch.onnx.export(
        net, torch.zeros(1, WINDOW, dtype=torch.uint8), str(HERE / "text.onnx"), opset_version=17,
        input_names=["text"], output_names=["scores"], dynamo=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
