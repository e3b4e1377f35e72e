"""Figures to hold a router against, from `../shared/data/README.md`, and which dev sets have no family in the pool. Needs nothing but Python."""

MINILM = {"arena_hard_v2": "0.58", "banking77_subset": "0.69", "clinc_domains": "0.51", "clinc_intents_banking": "0.51 to 0.78", "clinc_intents_kitchen": "0.51 to 0.78",
          "clinc_intents_mixed20": "0.51 to 0.78", "clinc_intents_travel": "0.51 to 0.78", "clinc_intents_work": "0.51 to 0.78", "code_tasks": "0.61", "dolly_categories": "0.51",
          "hwu64_scenarios": "0.66", "metatool": "0.73", "mmlu_domains": "0.56", "multidogo_intents": "0.58", "sgd_domains": "0.47", "sgd_intents": "0.42", "snips": "0.81",
          "stackoverflow_topics": "0.59", "vicuna_categories": "0.44"}
HELD_OUT = {"arena_hard_v2", "mmlu_domains", "vicuna_categories"}


def row(name, *figures):
    """One line of the table of dev sets."""
    return "| " + " | ".join([name, "no" if name in HELD_OUT else "yes", *map(str, figures), MINILM.get(name, "")]) + " |"
