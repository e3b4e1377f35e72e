"""Groups from the conversations that were written for this router: `authored/*.jsonl`, one route a line.

A line has `id`, three `names`, four `descriptions`, `conversations` (a text, or a list of [role, text]), and what a fair judge must know: a broad
route `covers` narrower ones, whose conversations are its own where they are absent; routes with `overlaps` (in another file: `slice/id`) never stand in one
policy; conversations of a route are no example of "no route" where one that is `alike` stands. The line `_none` has conversations that fit no route of its file. Policies are drawn, not written: so the same conversation meets other routes, names and descriptions
each time, and what the router learns is to read descriptions.
"""
import collections
import glob
import json
import os
import random

import dialects

# Files whose routes have nothing in common, so that a policy may draw from both.
APART = {("academic", "life"), ("academic", "support"), ("life", "software"), ("software", "support")}
NO_ROUTE_SHARE = {"_none": 0.05, "absent": 0.08}


def read(folder):
    """{slice: {id: route}}; parts of a slice (`SLICE-1.jsonl`, ...) are one."""
    slices = collections.defaultdict(dict)
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl"))):
        routes = slices[os.path.basename(path).split(".")[0].split("-")[0]]
        for number, text in enumerate(open(path, encoding="utf8"), 1):
            if not text.strip():
                continue
            try:
                route = json.loads(text)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            key, conversations = route["id"], [messages(c) for c in route["conversations"]]
            if key in routes:
                routes[key]["conversations"] += conversations
            else:
                routes[key] = {**route, "conversations": conversations}
            if any(not c or c[-1]["role"] != "user" for c in conversations):
                raise ValueError(f"{path}, line {number}: a conversation does not end with the user")
    return dict(slices)


def messages(conversation):
    if isinstance(conversation, str):
        return [{"role": "user", "content": conversation}]
    return [{"role": role, "content": text} for role, text in conversation]


def chars(conversation):
    return sum(len(message["content"]) for message in conversation)


class Authored:
    """Draws groups: (routes in order, dialect, [(messages, label)])."""

    def __init__(self, slices, seed):
        self.slices, self.seed = slices, seed
        self.routes = {(name, key): route for name, routes in slices.items() for key, route in routes.items()}
        self.overlaps, self.alike = self.linked("overlaps"), self.linked("alike")
        # Every conversation has about the same chance, whatever the size of its file.
        self.weights = {name: sum(len(route["conversations"]) for route in routes.values()) for name, routes in sorted(slices.items())}
        self.pairs = [pair for pair in sorted(APART) if set(pair) <= set(slices)]

    def linked(self, field):
        """The pairs of routes that the field of either names."""
        pairs = set()
        for (name, key), route in self.routes.items():
            for other in route.get(field, ()):
                # An id that no file has may stand there: nothing to keep apart from.
                target = tuple(other.split("/")) if "/" in other else (name, other)
                if target in self.routes:
                    pairs |= {((name, key), target), (target, (name, key))}
        return pairs

    def whole(self, key):
        """A route and those that it covers."""
        return {key, *((key[0], covered) for covered in self.routes[key].get("covers", ()) if (key[0], covered) in self.routes)}

    def clash(self, a, b):
        """Whether a conversation of one may be the other's, or of a route that one covers."""
        return any(x == y or (x, y) in self.overlaps for x in self.whole(a) for y in self.whole(b))

    def near(self, key, policy):
        """Whether a conversation of `key` might be taken for one of a route of the policy."""
        return any(self.clash(key, other) or (key, other) in self.alike for other in policy)

    def policy(self, rng):
        [one] = rng.choices(list(self.weights), list(self.weights.values()))
        pairs = [pair for pair in self.pairs if one in pair]
        names = list(rng.choice(pairs)) if pairs and rng.random() < 0.4 else [one]
        keys = [(name, key) for name in names for key in self.slices[name] if key != "_none"]
        rng.shuffle(keys)
        wanted, chosen = rng.choice((3, 4, 4, 5, 5, 6, 6, 7, 8, 9, 10, 12, 16)), []
        for key in keys:
            if len(chosen) < wanted and not any(self.clash(key, other) for other in chosen):
                chosen.append(key)
        return chosen

    def dress(self, chosen, rng):
        """{key: {name, description}}: one way of naming for most of the policy, a way of describing for each route."""
        style, opaque = rng.randrange(3), rng.random() < 0.06
        dressed, taken = {}, set()
        for number, key in enumerate(chosen, 1):
            names = self.routes[key]["names"]
            name = names[style] if rng.random() < 0.8 else rng.choice(names)
            name = f"route_{number}" if opaque else name
            while name in taken or name == dialects.NO_ROUTE:
                name += "_2"
            taken.add(name)
            dressed[key] = {"name": name, "description": rng.choice(self.routes[key]["descriptions"])}
        return dressed

    def draw(self, rng, chosen, dressed):
        """A conversation with its label; None where chance led nowhere."""
        dice = rng.random()
        if dice < NO_ROUTE_SHARE["_none"]:
            none = self.slices[rng.choice(chosen)[0]].get("_none")
            # What fits no route of one file may fit one of the other.
            if not none or len({name for name, _ in chosen}) > 1:
                return None
            return rng.choice(none["conversations"]), dialects.NO_ROUTE
        if dice < sum(NO_ROUTE_SHARE.values()):
            name = rng.choice(chosen)[0]
            key = (name, rng.choice(sorted(self.slices[name])))
            if key[1] == "_none" or self.near(key, chosen):
                return None
            return rng.choice(self.routes[key]["conversations"]), dialects.NO_ROUTE
        key = rng.choice(chosen)
        covered = self.routes[rng.choice(sorted(self.whole(key)))]
        return rng.choice(covered["conversations"]), dressed[key]["name"]

    def group(self, rng, size, max_chars, mixture):
        chosen = self.policy(rng)
        dressed = self.dress(chosen, rng)
        target, members, taken = rng.randint(*size), [], set()
        # Twice as many as wanted, of which those of like length stay: rows of a batch are padded to the longest.
        for _ in range(target * 4):
            drawn = self.draw(rng, chosen, dressed)
            if drawn and not (max_chars and chars(drawn[0]) > max_chars) and drawn[0][-1]["content"] not in taken:
                taken.add(drawn[0][-1]["content"])
                members.append(drawn)
            if len(members) >= target * 2:
                break
        members.sort(key=lambda member: chars(member[0]))
        start = rng.randint(0, max(len(members) - target, 0))
        routes = [dressed[key] for key in rng.sample(chosen, len(chosen))]
        return routes, rng.choices(list(mixture), list(mixture.values()))[0], members[start : start + target]
