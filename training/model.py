"""A Qwen2 network in plain PyTorch that computes a shared prefix once for several continuations, gradients included.

transformers' own network could do it with an expanded cache, but not for several prefixes of different length at a time, nor without copying
frozen layers into the graph; this one is held to transformers by a test.
"""
import glob
import json
import os

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        hidden, self.heads, self.kv_heads = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
        self.head_dim = c.get("head_dim") or hidden // self.heads
        self.eps = c["rms_norm_eps"]
        self.input_layernorm = nn.Parameter(torch.ones(hidden))
        self.post_attention_layernorm = nn.Parameter(torch.ones(hidden))
        self.q_proj = nn.Linear(hidden, self.heads * self.head_dim)
        self.k_proj = nn.Linear(hidden, self.kv_heads * self.head_dim)
        self.v_proj = nn.Linear(hidden, self.kv_heads * self.head_dim)
        self.o_proj = nn.Linear(self.heads * self.head_dim, hidden, bias=False)
        self.gate_proj = nn.Linear(hidden, c["intermediate_size"], bias=False)
        self.up_proj = nn.Linear(hidden, c["intermediate_size"], bias=False)
        self.down_proj = nn.Linear(c["intermediate_size"], hidden, bias=False)

    def norm(self, x, weight):
        return F.rms_norm(x, weight.shape, weight.to(x.dtype), self.eps)

    def split(self, x, heads):
        return x.view(*x.shape[:2], heads, self.head_dim).transpose(1, 2)

    def keys_values(self, x, rope):
        return rotate(self.split(self.k_proj(x), self.kv_heads), rope), self.split(self.v_proj(x), self.kv_heads)

    def attend(self, x, residual, rope, keys, values, mask):
        """Attention of `x` over these keys (its own and causal without a mask), then the rest of the layer."""
        queries = rotate(self.split(self.q_proj(x), self.heads), rope)
        if mask is None and x.is_cuda:
            mixed = F.scaled_dot_product_attention(queries, keys.to(queries.dtype), values.to(queries.dtype), is_causal=True, enable_gqa=True)
        elif mask is None:
            mixed = self.shared_attention(queries, keys, values, None)
        else:
            share = self.heads // self.kv_heads
            keys, values = keys.repeat_interleave(share, 1), values.repeat_interleave(share, 1)
            mixed = F.scaled_dot_product_attention(queries, keys.to(queries.dtype), values.to(queries.dtype), attn_mask=mask)
        return self.finish(residual, mixed.transpose(1, 2).flatten(2))

    def finish(self, residual, mixed):
        h = residual + self.o_proj(mixed)
        y = self.norm(h, self.post_attention_layernorm)
        return h + self.down_proj(F.silu(self.gate_proj(y)) * self.up_proj(y))

    def packed(self, x, rope, width, where, rows, last):
        """The layer over one prefix of `width` tokens and all its continuations in a row, [tokens, hidden]: padded for attention only.

        `where[t]` is the place of the continuations' token t in [rows * size]. Conversations of a group differ so much in length that a third to
        a half of the padded tokens would be padding.
        """
        h = self.norm(x, self.input_layernorm)
        queries = rotate(self.q_proj(h).view(-1, self.heads, self.head_dim), rope)
        keys = rotate(self.k_proj(h).view(-1, self.kv_heads, self.head_dim), rope)
        values = self.v_proj(h).view(-1, self.kv_heads, self.head_dim)
        parts = [part[:width].transpose(0, 1)[None] for part in (queries, keys, values)]
        own = torch.cat([queries[width:], keys[width:], values[width:]], 1)
        own = own.new_zeros(rows[0] * rows[1], *own.shape[1:]).index_copy(0, where, own).view(*rows, *own.shape[1:]).transpose(1, 2)
        mixed = self.shared_attention(*own.split([self.heads, self.kv_heads, self.kv_heads], 1), (parts[1], parts[2]) if width else None)
        mixed = mixed.transpose(1, 2).flatten(2).flatten(0, 1).index_select(0, where)
        if last:
            return self.finish(x[width:], mixed)
        if width:
            mixed = torch.cat([self.shared_attention(*parts, None).transpose(1, 2).flatten(2)[0], mixed])
        return self.finish(x, mixed)

    def shared_attention(self, queries, keys, values, before):
        """One prefix under all rows: its keys are one product for every row and head, and nothing is expanded (a third of the time of a step on a CPU)."""
        rows, _, size, dim = queries.shape
        share = self.heads // self.kv_heads
        grouped = queries.reshape(rows, self.kv_heads, share * size, dim) * dim**-0.5
        scores = (grouped @ keys.transpose(-1, -2)).view(rows, self.kv_heads, share, size, size)
        later = torch.ones(size, size, dtype=torch.bool, device=queries.device).triu(1)
        scores = scores.masked_fill(later, float("-inf")).view(rows, self.kv_heads, share * size, size)
        if before is None:
            return (scores.softmax(-1) @ values).view(rows, self.heads, size, dim)
        width = before[0].shape[2]
        flat = grouped.transpose(0, 1).reshape(self.kv_heads, rows * share * size, dim)
        early = (flat @ before[0][0].transpose(-1, -2)).view(self.kv_heads, rows, share * size, width).transpose(0, 1)
        weights = torch.cat([early, scores], -1).softmax(-1)
        early = weights[..., :width].transpose(0, 1).reshape(self.kv_heads, rows * share * size, width) @ before[1][0]
        mixed = early.view(self.kv_heads, rows, share * size, dim).transpose(0, 1) + weights[..., width:] @ values
        return mixed.reshape(rows, self.heads, size, dim)

    def forward(self, prefix, suffix, ropes, mask, owner, last):
        """One layer over prefixes [B, P, D] and continuations [M, S, D]; `owner[m]` is the prefix of continuation m."""
        keys = values = None
        if prefix is not None:
            x = self.norm(prefix, self.input_layernorm)
            keys, values = self.keys_values(x, ropes[0])
            # Right padding needs no mask here: nothing that counts comes after it.
            prefix = None if last else self.attend(x, prefix, ropes[0], keys, values, None)
        x = self.norm(suffix, self.input_layernorm)
        own_keys, own_values = self.keys_values(x, ropes[1])
        if keys is not None:
            own_keys, own_values = torch.cat([keys[owner], own_keys], 2), torch.cat([values[owner], own_values], 2)
        return prefix, self.attend(x, suffix, ropes[1], own_keys, own_values, mask)


def rotate(x, rope):
    cos, sin = rope
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class Router(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = nn.Parameter(torch.ones(config["hidden_size"]))
        self.frozen = 0
        self.head = None
        theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
        dim = self.layers[0].head_dim
        self.register_buffer("inverse", 1.0 / theta ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim), persistent=False)

    def freeze(self, layers):
        """Keeps the embeddings and the first `layers` layers as they are."""
        self.frozen = layers
        self.embed_tokens.requires_grad_(layers == 0)
        for layer in self.layers[:layers]:
            layer.requires_grad_(False)
        # The base has no biases, only Qwen2's form does: where time counts they stay zero.
        for name, parameter in self.named_parameters():
            if layers and name.endswith("bias"):
                parameter.requires_grad_(False)

    def rope(self, positions, dtype):
        angles = positions[:, None, :, None].float() * self.inverse
        angles = torch.cat([angles, angles], -1)
        return angles.cos().to(dtype), angles.sin().to(dtype)

    def forward(self, batch, dtype=torch.float32):
        """Logits at the positions that predict answer tokens, in the order of batch["target"]."""
        prefix_ids, suffix_ids, owner, lengths = batch["prefix"], batch["suffix"], batch["owner"], batch["prefix_length"]
        width, size = prefix_ids.shape[1], suffix_ids.shape[1]
        device = suffix_ids.device
        if len(prefix_ids) == 1:
            return self.logits(self.one_prefix(batch, dtype))
        steps = torch.arange(size, device=device)
        start = lengths[owner]
        # Prefixes of different lengths are padded, so that each row needs to know where its own ends.
        own = torch.ones(size, size, dtype=torch.bool, device=device).tril()
        seen = torch.arange(width, device=device) < start[:, None]
        mask = torch.cat([seen[:, None, None].expand(-1, 1, size, -1), own.expand(len(owner), 1, size, size)], -1)
        # As numbers once, not in every layer.
        mask = torch.zeros(mask.shape, dtype=dtype, device=device).masked_fill_(~mask, float("-inf"))
        ropes = (self.rope(torch.arange(width, device=device)[None], dtype), self.rope(start[:, None] + steps, dtype))
        prefix = self.embed_tokens(prefix_ids).to(dtype) if width else None
        suffix = self.embed_tokens(suffix_ids).to(dtype)
        for index, layer in enumerate(self.layers):
            with torch.set_grad_enabled(torch.is_grad_enabled() and index >= self.frozen):
                prefix, suffix = layer(prefix, suffix, ropes, mask, owner, index + 1 == len(self.layers))
        return self.logits(suffix[batch["row"], batch["column"]])

    def one_prefix(self, batch, dtype):
        """The last hidden states that predict answer tokens, for one prefix: no padding is computed but in attention."""
        ids, suffix, real = batch["prefix"][0], batch["suffix"], batch["suffix_length"]
        steps = torch.arange(suffix.shape[1], device=suffix.device).expand(suffix.shape)
        there = steps < real[:, None]
        where = there.flatten().nonzero()[:, 0]
        positions = torch.cat([torch.arange(len(ids), device=ids.device), len(ids) + steps[there]])
        rope = [part[0, 0, :, None] for part in self.rope(positions[None], dtype)]
        x = self.embed_tokens(torch.cat([ids, suffix[there]])).to(dtype)
        for index, layer in enumerate(self.layers):
            with torch.set_grad_enabled(torch.is_grad_enabled() and index >= self.frozen):
                x = layer.packed(x, rope, len(ids), where, tuple(suffix.shape), index + 1 == len(self.layers))
        starts = torch.cumsum(real, 0) - real
        return x.index_select(0, starts[batch["row"]] + batch["column"])

    def logits(self, picked):
        picked = F.rms_norm(picked.float(), self.norm.shape, self.norm, self.config["rms_norm_eps"])
        weight = self.embed_tokens.weight
        # Autocast would convert the embeddings, a quarter of the network, in every forward pass.
        if not weight.requires_grad and torch.is_autocast_enabled(weight.device.type):
            if self.head is None:
                self.head = weight.to(torch.get_autocast_dtype(weight.device.type))
            weight = self.head
        return F.linear(picked, weight).float()


def collate(groups, pad=0):
    """A batch of [(prefix ids, [(ids, answer tokens)])]: tensors, padded on the right. `row`, `column`: where each answer token is predicted."""
    members = [(g, ids, answer) for g, (_, members) in enumerate(groups) for ids, answer in members]
    width, size = max(len(p) for p, _ in groups), max(len(ids) for _, ids, _ in members) - 1
    prefix = torch.full((len(groups), width), pad, dtype=torch.long)
    for g, (ids, _) in enumerate(groups):
        prefix[g, : len(ids)] = torch.as_tensor(ids, dtype=torch.long)
    # The last token of an answer (end of turn) is predicted, never read.
    suffix = torch.full((len(members), size), pad, dtype=torch.long)
    row, column, target = [], [], []
    for m, (_, ids, answer) in enumerate(members):
        suffix[m, : len(ids) - 1] = torch.as_tensor(ids[:-1], dtype=torch.long)
        row += [m] * answer
        column += range(len(ids) - 1 - answer, len(ids) - 1)
        target += [int(t) for t in ids[-answer:]]
    return {"prefix": prefix, "prefix_length": torch.tensor([len(p) for p, _ in groups]), "suffix": suffix,
            "suffix_length": torch.tensor([len(ids) - 1 for _, ids, _ in members]), "owner": torch.tensor([g for g, _, _ in members]), "row": torch.tensor(row), "column": torch.tensor(column), "target": torch.tensor(target),
            "tokens": sum(len(p) for p, _ in groups) + sum(len(ids) for _, ids, _ in members)}


def to_device(batch, device):
    return {k: v.to(device, non_blocking=True) if torch.is_tensor(v) else v for k, v in batch.items()}


def hf_name(name):
    """This network's name of a tensor as Hugging Face has it."""
    if name == "norm":
        return "model.norm.weight"
    if name.startswith("embed_tokens"):
        return "model." + name
    _, index, rest = name.split(".", 2)
    part = rest.split(".")[0]
    if part.endswith("layernorm"):
        return f"model.layers.{index}.{rest}.weight"
    return f"model.layers.{index}.{'self_attn' if part[0] in 'qkvo' else 'mlp'}.{rest}"


def read_weights(folder):
    """Tensors by Hugging Face's names, from *.safetensors or *.gguf files."""
    out = {}
    for path in sorted(glob.glob(os.path.join(folder, "model*.safetensors"))):
        out.update(load_file(path))
    if not out:
        import export
        out = export.read_gguf(sorted(glob.glob(os.path.join(folder, "*.gguf"))))
    return out


def load(folder, device="cpu"):
    model = Router(json.load(open(os.path.join(folder, "config.json"))))
    weights = read_weights(folder)
    state = {}
    for name, value in model.state_dict().items():
        state[name] = weights[hf_name(name)].float() if hf_name(name) in weights else torch.zeros_like(value)
        assert hf_name(name) in weights or name.endswith("bias"), name
    model.load_state_dict(state)
    return model.to(device)


def save_weights(model, path, dtype=torch.float32):
    """Writes model.safetensors atomically."""
    save_file({hf_name(k): v.detach().to("cpu", dtype).contiguous() for k, v in model.state_dict().items()}, path + ".new", metadata={"format": "pt"})
    os.replace(path + ".new", path)
