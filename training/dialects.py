"""The prompts of the gateways, byte for byte, and the answers that routers are to give (the Rust of src/dialect in Python).

Sources: katanemo/plano tags 0.3.1 to 0.4.36 and the model card of katanemo/Arch-Router-1.5B. test_training.py holds this file to the golden
vectors of tests/fixtures. Typos, double spaces and trailing spaces belong to the text.
"""
import json

DIALECTS = ("model-card", "archgw-0.3.1", "plano-0.4.19", "plano-0.4.20")
NO_ROUTE = "other"
WINDOW = 16

# Before the routes, between routes and conversation, after the conversation.
ROUTER_V1 = (
    "\n"
    "You are a helpful assistant designed to find the best suited route.\n"
    "You are provided with route description within <routes></routes> XML tags:\n"
    "<routes>\n",
    "\n"
    "</routes>\n"
    "\n"
    "<conversation>\n",
    "\n"
    "</conversation>\n"
    "\n"
    "Your task is to decide which route is best suit with user intent on the conversation in <conversation></conversation> XML tags.  Follow the instruction:\n"
    '1. If the latest intent from user is irrelevant or user intent is full filled, response with other route {"route": "other"}.\n'
    "2. You must analyze the route descriptions and find the best match route for user latest intent.\n"
    "3. You only response the name of the route that best matches the user's request, use the exact name in the <routes></routes>.\n"
    "\n"
    "Based on your analysis, provide your response in the following JSON formats if you decide to match any route:\n"
    '{"route": "route_name"}\n',
)
# Before the routes, between routes and conversation, after the conversation.
MODEL_CARD = (
    "\n"
    "You are a helpful assistant designed to find the best suited route.\n"
    "You are provided with route description within <routes></routes> XML tags:\n"
    "<routes>\n"
    "\n",
    "\n"
    "\n"
    "</routes>\n"
    "\n"
    "<conversation>\n"
    "\n",
    "\n"
    "\n"
    "</conversation>\n"
    "\n"
    "Your task is to decide which route is best suit with user intent on the conversation in <conversation></conversation> XML tags.  Follow the instruction:\n"
    '1. If the latest intent from user is irrelevant or user intent is full filled, response with other route {"route": "other"}.\n'
    "2. You must analyze the route descriptions and find the best match route for user latest intent. \n"
    "3. You only response the name of the route that best matches the user's request, use the exact name in the <routes></routes>.\n"
    "\n"
    "Based on your analysis, provide your response in the following JSON formats if you decide to match any route:\n"
    '{"route": "route_name"} \n',
)
# Before the routes, between routes and conversation, after the conversation.
ORCHESTRATOR_V1 = (
    "\n"
    "You are a helpful assistant that selects the most suitable routes based on user intent.\n"
    "You are provided with a list of available routes enclosed within <routes></routes> XML tags:\n"
    "<routes>\n",
    "\n"
    "</routes>\n"
    "\n"
    "You are also given the conversation context enclosed within <conversation></conversation> XML tags:\n"
    "<conversation>\n",
    "\n"
    "</conversation>\n"
    "\n"
    "## Instructions\n"
    "1. Analyze the latest user intent from the conversation.\n"
    "2. Compare it against the available routes to find which routes can help fulfill the request.\n"
    "3. Respond only with the exact route names from <routes>.\n"
    "4. If no routes can help or the intent is already fulfilled, return an empty list.\n"
    "\n"
    "## Response Format\n"
    "Return your answer strictly in JSON as follows:\n"
    '{{"route": ["route_name_1", "route_name_2", "..."]}}\n'
    "If no routes are needed, return an empty list for `route`.\n",
)
TEMPLATES = {"model-card": MODEL_CARD, "archgw-0.3.1": ROUTER_V1, "plano-0.4.19": ORCHESTRATOR_V1, "plano-0.4.20": ORCHESTRATOR_V1}
BUDGETS = {"model-card": None, "archgw-0.3.1": 2048, "plano-0.4.19": 8192, "plano-0.4.20": 8192}
PARAMETERS = {"type": "object", "properties": {}, "required": []}


def is_list(dialect):
    """Whether answers are lists of names."""
    return dialect.startswith("plano")


def message_text(content):
    """A message's text: a string as it is, the text parts of a list joined with line feeds."""
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if part.get("type") == "text")
    return content


def trim_middle(text, max_bytes):
    """Plano 0.4.20's `trim_middle_utf8`."""
    raw = text.encode()
    if len(raw) <= max_bytes:
        return text

    def boundary(at, step):
        while at < len(raw) and raw[at] & 0xC0 == 0x80:
            at += step
        return at

    if max_bytes <= 3:
        return raw[: boundary(max_bytes, -1)].decode()
    room = max_bytes - 3
    head = boundary(room * 3 // 5, -1)
    tail = boundary(len(raw) - (room - head), 1)
    return raw[:head].decode() + "\u2026" + raw[tail:].decode()


def select(dialect, messages, budget=None):
    """The messages that reach the router, as (role, text or None)."""
    texts = [(m["role"], message_text(m.get("content"))) for m in messages]
    limit = BUDGETS[dialect] if budget is None else budget
    if BUDGETS[dialect] is None:
        return texts
    texts = [(role, text) for role, text in texts if role in ("user", "assistant") and text]
    if dialect == "plano-0.4.20":
        texts = texts[-WINDOW:]
    used = (sum(len(part.encode()) for part in TEMPLATES[dialect]) + len("{routes}{conversation}")) // 4
    kept = []
    for role, text in reversed(texts):
        cost = len(text.encode()) // 4
        if used + cost <= limit:
            used += cost
            kept.append((role, text))
            continue
        room = max(limit - used, 0)
        if role == "user" and dialect != "plano-0.4.20":
            kept.append((role, text))
        elif role == "user" and room > 0:
            kept.append((role, trim_middle(text, room * 4)))
        elif not kept:
            kept.append((role, text))
        break
    return kept[::-1]


def escape(value, ensure_ascii=False):
    """A text as a JSON string."""
    return json.dumps(value, ensure_ascii=ensure_ascii)


def routes_json(dialect, routes):
    routes = [{"name": r["name"], "description": r["description"]} for r in routes]
    if dialect == "model-card":
        return json.dumps(routes)
    if dialect == "archgw-0.3.1":
        return json.dumps(routes, ensure_ascii=False, separators=(",", ":"))
    return "\n".join(json.dumps(r | {"parameters": PARAMETERS}, ensure_ascii=False) for r in routes)


def conversation_json(dialect, messages):
    messages = [{"role": role, "content": text} for role, text in messages]
    if dialect == "model-card":
        return json.dumps(messages)
    if dialect == "archgw-0.3.1":
        return json.dumps(messages, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(messages, ensure_ascii=False, indent=4)


def render(dialect, routes, messages, budget=None, short=False):
    """The user message for these routes, in this order. `short` leaves the closing instructions out (first phase of training only)."""
    conversation = conversation_json(dialect, select(dialect, messages, budget))
    listed = routes_json(dialect, routes)
    if dialect != "model-card":
        listed = listed.replace("{conversation}", conversation)
    before, between, after = TEMPLATES[dialect]
    if short:
        after = after[: after.index("</conversation>") + len("</conversation>\n")]
    return before + listed + between + conversation + after


def answer(dialect, route):
    """What the router is to write; `other` stands for no route."""
    if is_list(dialect):
        return '{"route": []}' if route == NO_ROUTE else '{"route": [%s]}' % escape(route)
    return '{"route": %s}' % escape(route)


def chat(user_message):
    """The user message inside chat_template.jinja, generation prompt on: ChatML without a system message."""
    return f"<|im_start|>user\n{user_message}<|im_end|>\n<|im_start|>assistant\n"
