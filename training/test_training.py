"""Tests of the recipe on a tiny random model: pytest training (seconds, no downloads)."""
import json
import os
import random
import shutil
import sys

import numpy as np
import pytest
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import authored
import average
import bias
import dialects
import evaluate
import export
import model as network
import prepare
import quantise
import shrink
import table
import temperature
import tok
import train

FIXTURES = os.path.join(HERE, "../tests/fixtures")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A model folder: byte-level BPE trained on a few prompts, random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([dialects.render(d, [], []) for d in dialects.DIALECTS], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = dict(model_type="qwen2", architectures=["Qwen2ForCausalLM"], vocab_size=tokenizer.get_vocab_size(), hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
                  num_key_value_heads=2, max_position_embeddings=4096, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=True, hidden_act="silu",
                  bos_token_id=1, eos_token_id=2, use_sliding_window=False)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text("{}")
    torch.manual_seed(1)
    model = network.Router(config)
    for p in model.parameters():
        if p.ndim == 2:
            torch.nn.init.normal_(p, std=0.15)
    network.save_weights(model, str(folder / "model.safetensors"))
    return str(folder)


def lines(count=40):
    made = []
    for i in range(count):
        routes = [{"name": name, "description": f"The user wants to {name} a thing."} for name in ("buy", "sell", "mend", "lend")]
        route = ["buy", "sell", "mend", "lend", "other"][i % 5]
        made.append({"id": f"toy_{i}", "routes": routes, "messages": [{"role": "user", "content": f"please {route} item {i}"}], "route": route})
    return made


@pytest.fixture(scope="session")
def shards(tiny, tmp_path_factory):
    import gzip
    folder = tmp_path_factory.mktemp("shards")
    pool = str(folder / "pool.jsonl.gz")
    with gzip.open(pool, "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines(300))
    os.chdir(folder)
    sys.argv = ["prepare.py", "shards", "--model", tiny, "--pool", pool, "--out", str(folder / "s"), "--workers", "1", "--examples", "80"]
    prepare.main()
    return str(folder / "s")


def test_prompts_are_the_gateways():
    seen = set()
    for text in open(os.path.join(FIXTURES, "golden_prompts.jsonl"), encoding="utf8"):
        case = json.loads(text)
        assert dialects.render(case["dialect"], case["routes"], case["messages"], case["budget_tokens"]) == case["prompt"]
        seen.add(case["dialect"])
    assert seen == set(dialects.DIALECTS)


def test_chat_template_adds_no_system_message():
    from jinja2 import Environment
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(open(os.path.join(HERE, "chat_template.jinja")).read())
    assert template.render(messages=[{"role": "user", "content": "\nx\n"}], add_generation_prompt=True) == dialects.chat("\nx\n")


def test_answers():
    assert dialects.answer("archgw-0.3.1", 'a"é') == '{"route": "a\\"é"}'
    assert dialects.answer("model-card", "other") == '{"route": "other"}'
    assert dialects.answer("plano-0.4.20", "a") == '{"route": ["a"]}' and dialects.answer("plano-0.4.20", "other") == '{"route": []}'


def test_tokenizer_is_transformers_own(tiny):
    from transformers import AutoTokenizer
    theirs = AutoTokenizer.from_pretrained(tiny)
    ours = tok.load(tiny)
    for text in ("route_12 and 345", "\n\n  it's \u00e9\u0301 {\"a\": [1]}<|im_end|>\n", dialects.chat("\nx  y\n")):
        assert tok.ids(ours, text) == theirs(text, add_special_tokens=False).input_ids


def groups():
    rng = np.random.default_rng(0)
    ids = lambda n: rng.integers(3, 250, n).tolist()
    return [(ids(9), [(ids(7), 3), (ids(5), 2), (ids(11), 4)]), (ids(4), [(ids(6), 2)])]


def test_mask_covers_answer_and_end_only(tiny):
    tokenizer, end = tok.load(tiny), tok.load(tiny).token_to_id(tok.END)
    group = next(prepare.Planner(lines(), 0).epoch(0, "full"))
    prefix, members = prepare.tokenise(tokenizer, end, group, False, 4096)
    batch = network.collate([(prefix, members)])
    for m, ((messages, label), (ids, count)) in enumerate(zip(group[2], members)):
        picked = batch["target"][batch["row"] == m].tolist()
        assert picked == tok.ids(tokenizer, dialects.answer(group[1], label)) + [end] == list(ids[-count:])
        whole = tok.ids(tokenizer, dialects.chat(dialects.render(group[1], group[0], messages)))
        assert prefix + list(ids[:-count]) == whole
        # The first of them is predicted at the prompt's last token.
        assert batch["column"][batch["row"] == m][0] == len(ids) - count - 1


@pytest.mark.parametrize("frozen", [0, 1])
def test_shared_prefix_gives_the_plain_gradients(tiny, frozen):
    def gradients(batches):
        model = network.load(tiny)
        model.freeze(frozen)
        for batch in batches:
            torch.nn.functional.cross_entropy(model(batch), batch["target"], reduction="sum").backward()
        return {k: p.grad for k, p in model.named_parameters() if p.requires_grad}
    shared = gradients([network.collate(groups())])
    plain = gradients([network.collate([([], [(prefix + ids, n)])]) for prefix, members in groups() for ids, n in members])
    assert len(shared) > 10 and shared.keys() == plain.keys()
    for name, gradient in shared.items():
        # In the last layer the keys' bias moves every score of a position alike.
        torch.testing.assert_close(gradient, plain[name], rtol=1e-3, atol=2e-5, msg=lambda m: f"{name}: {m}")


def test_network_is_transformers_qwen2(tiny):
    from transformers import AutoModelForCausalLM
    theirs = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    ours = network.load(tiny)
    with torch.no_grad():
        batch = network.collate(groups())
        got, at = ours(batch), 0
        for prefix, members in groups():
            for ids, count in members:
                expected = theirs(torch.tensor([prefix + ids])).logits[0, -count - 1 : -1]
                torch.testing.assert_close(got[at : at + count], expected, rtol=1e-3, atol=1e-4)
                at += count


def test_routes_change_order_and_labels_stay_right():
    planner = prepare.Planner(lines(150), 3)
    orders, others, total = set(), 0, 0
    for epoch in (0, 1):
        for routes, dialect, members in planner.epoch(epoch, "full"):
            orders.add(tuple(r["name"] for r in routes))
            for messages, label in members:
                word = messages[-1]["content"].split()[1]
                assert label == (word if word in [r["name"] for r in routes] else "other")
                others, total = others + (label == "other"), total + 1
    assert len(orders) > 10 and 0.08 < others / total < 0.4
    again = list(prepare.Planner(lines(150), 3).epoch(1, "full"))
    assert again == list(planner.epoch(1, "full"))


def run(tiny, shards, out, *more):
    return train.train(train.parse(["--model", tiny, "--shards", shards, "--out", str(out), "--steps", "10", "--no-bf16", "--threads", "1", "--groups", "2", "--val-groups", "2",
                                    "--phases", "short:0.5,full:0.5", "--val-every", "0.4", "--lr", "1e-3", *more]))


def test_authored_policies_are_fair(tmp_path):
    """No two routes that a judge could mix up, every label that of the conversation's own route, a broad one's for what it covers, or no route."""
    routes = [{"id": f"r{i}", "names": [f"r{i}_a", f"x/r{i}", f"The R{i}"], "descriptions": [f"about {i}", f"things of kind {i}"], "covers": [], "overlaps": [],
               "conversations": [f"r{i} question {n}" for n in range(6)] + [[["user", f"r9 before"], ["assistant", "yes"], ["user", f"r{i} after"]]]} for i in range(8)]
    routes[0]["covers"], routes[3]["overlaps"] = ["r1", "r2"], ["r4", "gone"]
    routes.append({"id": "_none", "conversations": ["none of it"]})
    # A part of a slice is a file of its own.
    (tmp_path / "toy-1.jsonl").write_text("\n".join(json.dumps(r) for r in routes[:5]) + "\n")
    (tmp_path / "toy-2.jsonl").write_text("\n".join(json.dumps(r) for r in routes[5:]))
    source = authored.Authored(authored.read(str(tmp_path)), 1)
    labels, rng = set(), random.Random(3)
    for _ in range(300):
        offered, dialect, members = source.group(rng, (6, 8), None, prepare.MIXTURE)
        own = {r["description"].split()[-1]: r["name"] for r in offered}
        assert len(own) == len(offered) and dialect in prepare.MIXTURE
        assert not {"3", "4"} <= set(own) and not ("0" in own and {"1", "2"} & set(own))
        for conversation, label in members:
            kind = conversation[-1]["content"][1] if conversation[-1]["content"].startswith("r") else ""
            expected = own.get(kind) or (own.get("0") if kind in ("1", "2") else None) or "other"
            assert label == expected, (offered, conversation, label)
            labels.add("other" if label == "other" else kind)
    assert labels == {"other", *"01234567"}


def test_the_authored_files_are_whole():
    slices = authored.read(os.path.join(HERE, "authored"))
    for name, routes in slices.items():
        # What fits no subject would have to be no exam question at all: other files have that.
        assert name == "subjects" or routes["_none"]["conversations"], name
        for key, route in routes.items():
            roles = [[message["role"] for message in conversation] for conversation in route["conversations"]]
            assert all(turns == (["user", "assistant"] * len(turns))[: len(turns)] for turns in roles), key
            assert key == "_none" or (len(route["names"]), len(route["descriptions"]), len(roles) > 2) == (3, 4, True), key
    assert sum(len(routes.keys() - {"_none"}) for routes in slices.values()) == 1422
    assert sum(len(route["conversations"]) for routes in slices.values() for route in routes.values()) == 16305


def test_restart_equals_uninterrupted_run(tiny, shards, tmp_path):
    whole, state = run(tiny, shards, tmp_path / "whole")
    run(tiny, shards, tmp_path / "parts", "--stop-after", "3")
    run(tiny, shards, tmp_path / "parts", "--stop-after", "7")
    parts, resumed = run(tiny, shards, tmp_path / "parts")
    assert state["step"] == resumed["step"] == 10 and state["examples"] == resumed["examples"] and state["best"] == resumed["best"]
    for (name, a), b in zip(whole.state_dict().items(), parts.state_dict().values()):
        assert torch.equal(a, b), name
    assert (tmp_path / "parts/best/model.safetensors").exists() and (tmp_path / "parts/last/config.json").exists()


def test_training_learns(tiny, shards, tmp_path):
    run(tiny, shards, tmp_path / "t", "--steps", "120", "--freeze-layers", "0", "--lr", "3e-3", "--show-seconds", "0")
    log = [json.loads(line) for line in open(tmp_path / "t/log.jsonl")]
    losses = [line["loss"] for line in log if "loss" in line]
    # Over the last steps: a single one hangs on the groups that it happens to have.
    assert sum(losses[-20:]) / 20 < losses[0] / 2


def test_export_reads_back(tiny, tmp_path):
    export.main([tiny, str(tmp_path / "g"), "--rule", "token_embd=Q8_0", "--rule", "attn_=Q5_1", "--rule", "=Q8_0"])
    before, after = network.read_weights(tiny), network.read_weights(str(tmp_path / "g"))
    for name, value in before.items():
        if name in after:
            assert (after[name] - value).abs().max() < 0.04 * value.abs().max() + 1e-6, name
        else:
            assert name.endswith("bias") and not value.any()
    assert tok.ids(tok.load(str(tmp_path / "g")), "route_12") == tok.ids(tok.load(tiny), "route_12")
    routes, messages = lines()[0]["routes"], lines()[0]["messages"]
    scores = [evaluate.score(network.load(f), tok.load(f), "archgw-0.3.1", [(routes, messages)] * 2, "cpu") for f in (tiny, str(tmp_path / "g"))]
    assert len(scores[0][0]) == 5 and np.allclose(scores[0][0], scores[0][1], atol=1e-3) and np.allclose(scores[0], scores[1], rtol=0.05)


def test_temperature(tmp_path, capsys):
    """From the cases of a run: surer than right by a lot, so the fitted temperature is above one and the error falls."""
    with open(tmp_path / "cases.csv", "w") as file:
        file.write("label,decided,probabilities,invalid_mass\n")
        file.writelines(f'{"buy" if i % 10 < 7 else "sell"},buy,"{{""buy"": 0.95, ""sell"": 0.04}}",0.01\n' for i in range(200))
        file.write('lost,buy,"{""buy"": 0.9}",0.1\n,,,\n')
    judged = list(temperature.cases(str(tmp_path)))
    assert len(judged) == 200 and sum(temperature.tempered(judged[0][0], 2.0)) == pytest.approx(1.0)
    temperature.main([str(tmp_path)])
    hot = float(capsys.readouterr().out)
    assert hot > 1.5 and temperature.ece(judged, hot) < 0.1 < temperature.ece(judged, 1.0)


def test_average_lies_between_two_routers(tiny, tmp_path):
    from safetensors.torch import load_file, save_file

    other, out = str(tmp_path / "other"), str(tmp_path / "mean")
    shutil.copytree(tiny, other)
    first = load_file(os.path.join(tiny, "model.safetensors"))
    save_file({name: weight + 1 for name, weight in first.items()}, os.path.join(other, "model.safetensors"))
    average.main(tiny, other, out, "0.25")
    mean = load_file(os.path.join(out, "model.safetensors"))
    assert mean.keys() == first.keys() and os.path.exists(os.path.join(out, "tokenizer.json"))
    for name, weight in first.items():
        torch.testing.assert_close(mean[name], weight + 0.25, atol=1e-2, rtol=1e-2)


def test_bias_lowers_the_score_of_no_route_alone(tiny, tmp_path):
    tokenizer = tok.load(tiny)
    bias.main(tiny, str(tmp_path / "b"), "0.5")
    before, after = (network.read_weights(folder)["model.embed_tokens.weight"] for folder in (tiny, str(tmp_path / "b")))
    row = tokenizer.token_to_id("other")
    assert torch.allclose(after[row], before[row] / 2)
    after[row] = before[row]
    assert torch.equal(before, after)


def test_table_pools_the_sets(tmp_path, capsys):
    for name, agreement in (("snips", 0.5), ("mmlu_domains", 0.7)):
        bins = [{"cases": 10, "confidence": 0.6, "agreement": agreement}]
        (tmp_path / f"{name}.json").write_text(json.dumps({"cases": 10, "agreement": agreement, "calibration": {"ece": 0.1, "bins": bins}}))
    table.main(str(tmp_path))
    out = capsys.readouterr().out
    assert "| mmlu_domains | no | 10 | 0.70 | 0.10 | 0.56 |" in out and "**0.600**" in out
    # Too sure on one, not sure enough on the other: over both it is as sure as it is right.
    assert "over all 20 cases: 0.000" in out


def test_shrink_layers_and_vocabulary(tiny, tmp_path):
    out = str(tmp_path / "small")
    shrink.main([tiny, out, "--drop-layers", "1", "--vocab", "500", "--text", os.path.join(FIXTURES, "golden_prompts.jsonl")])
    config = json.load(open(out + "/config.json"))
    assert config["num_hidden_layers"] == 2 and config["vocab_size"] <= 500
    old, new = tok.load(tiny), tok.load(out)
    text = "anything \u00e9\u4e2d at all {\"x\"}"
    assert new.decode(tok.ids(new, text)) == text
    assert [new.token_to_id(t) for t in ("<|im_start|>", "<|im_end|>")] == [config["bos_token_id"], config["eos_token_id"]]
    a, b = network.load(tiny).embed_tokens.weight, network.load(out).embed_tokens.weight
    for token in ("a", "<|im_end|>"):
        assert torch.equal(a[old.token_to_id(token)], b[new.token_to_id(token)])


def test_quantising_loses_less_than_rounding_and_is_stored_as_it_is(tiny, shards, tmp_path):
    rng = torch.Generator().manual_seed(5)
    # Inputs that have much in common, as those of a network do.
    inputs = torch.randn(400, 8, generator=rng) @ torch.randn(8, 64, generator=rng) + 0.3 * torch.randn(400, 64, generator=rng)
    weight, moments = torch.randn(48, 64, generator=rng), inputs.T @ inputs
    found, steps, count = quantise.quantise(weight, moments)
    assert torch.equal(found.view(48, 2, 32), count.view(48, 2, 32) * steps[..., None])
    plain = export.gguf.quants.quantize(weight.numpy(), export.gguf.GGMLQuantizationType.Q5_0)
    plain = torch.from_numpy(export.gguf.quants.dequantize(plain, export.gguf.GGMLQuantizationType.Q5_0))
    lost = [float((inputs @ (rounded - weight).T).square().sum()) for rounded in (found, plain)]
    assert lost[0] < 0.7 * lost[1], lost

    quantise.main([str(tiny), str(shards), str(tmp_path / "rounded"), "--sequences", "3"])
    export.main([str(tmp_path / "rounded"), str(tmp_path / "export")])
    stored, kept = network.read_weights(str(tmp_path / "export")), network.read_weights(str(tmp_path / "rounded"))
    for name in ("model.layers.0.self_attn.q_proj.weight", "model.layers.2.mlp.down_proj.weight"):
        assert torch.equal(stored[name], kept[name]), name
