"""A product quantiser: which codes it takes, and the gradients that reach it in training."""

import torch

from ecgkit.nn.quantizer import ProductQuantizer


def quantizer() -> ProductQuantizer:
    torch.manual_seed(0)
    return ProductQuantizer(inputs=5, groups=2, codes=4, width=3)


def test_in_evaluation_each_group_takes_its_most_likely_code() -> None:
    made, x = quantizer().eval(), torch.randn(2, 7, 5)
    quantized, codes, shares = made(x)
    logits = made.choose(x).view(2, 7, 2, 4)
    assert torch.equal(codes, logits.argmax(-1))
    for group in range(2):
        assert torch.equal(quantized[..., 3 * group : 3 * group + 3], made.codes[group][codes[..., group]])
    torch.testing.assert_close(shares, logits.softmax(-1).mean((0, 1)))


def test_in_training_codes_are_drawn_and_learned() -> None:
    made, x = quantizer().train(), torch.randn(2, 7, 5)
    quantized, codes, _ = made(x, temperature=2.0)
    for group in range(2):
        torch.testing.assert_close(quantized[..., 3 * group : 3 * group + 3], made.codes[group][codes[..., group]])
    assert not torch.equal(codes, made(x, temperature=2.0)[1])
    quantized.square().sum().backward()
    assert made.codes.grad is not None and made.codes.grad.any()
    assert made.choose.weight.grad is not None and made.choose.weight.grad.any()
