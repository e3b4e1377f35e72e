//! The rules: what each code means, why it matters and where that is known from. `docs/lint.md` says the same at length.

use super::Severity::{self, Advice, Error, Warning};

/// One rule of the linter.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable: scripts and suppressions refer to it.
    pub code: &'static str,
    pub severity: Severity,
    /// The rule in a few words.
    pub title: &'static str,
    /// Why it matters.
    pub reason: &'static str,
    /// Where that is known from.
    pub source: &'static str,
}

macro_rules! rules {
    ($($name:ident = $code:literal, $severity:expr, $title:literal, $reason:literal, $source:literal;)*) => {
        $(pub(super) static $name: Rule = Rule { code: $code, severity: $severity, title: $title, reason: $reason, source: $source };)*
        /// Every rule, by code.
        pub static RULES: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    DUPLICATE_NAME = "WP101", Error, "two routes with one name",
        "Plano's validator refuses two preferences with one name; inline in a request the last one silently wins.",
        "cli/planoai/config_generator.py, Plano 0.4.36";
    EMPTY_NAME = "WP102", Error, "a route without a name",
        "Gateways drop empty names from the router's answer, so the route can never be chosen.",
        "orchestrator_model_v1.rs and router_model_v1.rs of katanemo/plano";
    NO_MODELS = "WP103", Error, "a route without models",
        "Plano requires at least one model for each route.",
        "config/plano_config_schema.yaml, Plano 0.4.36";
    BAD_MODEL = "WP104", Error, "not a model name of the form provider/model",
        "Plano refuses model names without a provider, and its start-up refuses routes to wildcards.",
        "cli/planoai/config_generator.py and brightstaff, Plano 0.4.36";
    UNDECLARED_MODEL = "WP105", Error, "a model that the gateway does not declare",
        "brightstaff refuses to start when a route names a model that no provider declares.",
        "brightstaff of Plano 0.4.36";
    BAD_SELECTION = "WP106", Error, "not a selection policy of Plano",
        "Plano knows `selection_policy: {prefer: cheapest}`, `fastest` and `none`, and refuses all else.",
        "config/plano_config_schema.yaml, Plano 0.4.36";
    APOSTROPHE = "WP107", Error, "an apostrophe in a route's name",
        "Gateways turn every apostrophe of the router's answer into a double quote, so the name is never found and the request may fail.",
        "fix_json_response in katanemo/plano, archgw 0.3.1 to Plano 0.4.36";
    LINE_FEED = "WP108", Error, "a line break or \\n in a route's name",
        "Gateways delete every \\n from the router's answer, so the name is never found.",
        "fix_json_response in katanemo/plano, archgw 0.3.1 to Plano 0.4.36";
    PLACEHOLDER = "WP109", Error, "the text {conversation} in a route",
        "Gateways fill in the routes first and then replace every {conversation}, so the whole conversation is copied into the route.",
        "router_model_v1.rs and orchestrator_model_v1.rs of katanemo/plano";
    NAMED_OTHER = "WP110", Error, "a route called other",
        "Up to Plano 0.4.18 the answer \"other\" means that no route fits, so this route can never be chosen.",
        "router_model_v1.rs, archgw 0.3.1 to Plano 0.4.18";
    REFUSED_KEY = "WP111", Error, "providers or metrics sources that cannot be exported",
        "Plano checks these parts against its schema and refuses all else, and a key or password would stand in the export for all to read.",
        "config/plano_config_schema.yaml and cli/planoai/config_generator.py, Plano 0.4.36";
    NO_ROUTES = "WP201", Warning, "a policy without routes",
        "Gateways accept it and skip routing.",
        "llm/model_selection of katanemo/plano";
    EMPTY_DESCRIPTION = "WP202", Warning, "a route without a description",
        "Gateways accept it; the router then has only the name to go by.",
        "cli/planoai/config_generator.py, Plano 0.4.36";
    NO_MODELS_AT_ALL = "WP203", Warning, "no route has models",
        "The policy can be tested, but no gateway can use it before each route has a model.",
        "config/plano_config_schema.yaml, Plano 0.4.36";
    NO_ADDRESS = "WP204", Warning, "a model whose provider needs an address",
        "Plano does not know where this provider's models are served, and refuses the model without a base_url.",
        "cli/planoai/config_generator.py, Plano 0.4.36";
    TAG = "WP205", Warning, "a tag of the prompt in a route",
        "Nothing escapes these tags: the router sees the list of routes end, or the conversation start, in the middle of the route.",
        "router_model_v1.rs and orchestrator_model_v1.rs of katanemo/plano";
    VARIABLE = "WP206", Warning, "a dollar sign that gateways may expand",
        "Environment variables are filled in after the configuration is rendered: under Docker an unset one vanishes from the text.",
        "envsubst in Plano's Docker image, os.path.expandvars in its CLI";
    CASE = "WP207", Warning, "names that differ only by case",
        "Gateways match names by case; a router easily writes the other one.",
        "router_model_v1.rs and orchestrator_model_v1.rs of katanemo/plano";
    SPACES = "WP208", Warning, "spaces around a name",
        "Names are matched exactly, and a router rarely repeats the spaces around one.",
        "router_model_v1.rs and orchestrator_model_v1.rs of katanemo/plano";
    SAME_FIRST_MODEL = "WP209", Warning, "routes with the same first model",
        "Plano 0.4.15 to 0.4.18 keys routes by their first model: of those that share one, only one reaches the prompt.",
        "llm router of Plano 0.4.15 to 0.4.18";
    BUDGET = "WP210", Warning, "very long route texts",
        "Gateways do not count routes when they cut the conversation to their budget, so long routes overflow the router's context.",
        "router_model_v1.rs and orchestrator_model_v1.rs of katanemo/plano";
    REPEATED_MODEL = "WP211", Warning, "a model twice in one route",
        "Gateways accept it; a retry then goes to the model that just failed.",
        "cli/planoai/config_generator.py, Plano 0.4.36";
    LABELLED_OTHER = "WP212", Warning, "a route called other that labels cannot name",
        "Plano 0.4.19 and later can choose it, but in labelled sets and figures \"other\" means that no route fits.",
        "orchestrator_model_v1.rs, Plano 0.4.19 to 0.4.36";
    UNHEEDED_BUDGET = "WP213", Warning, "a budget that no gateway of the dialect heeds",
        "Plano 0.4.19 and later alone let their operator set it; prompts of other dialects are made without it.",
        "orchestrator_model_v1.rs and config/plano_config_schema.yaml, Plano 0.4.19 to 0.4.36";
    ALIKE_MODELS = "WP214", Warning, "two models that Plano does not tell apart",
        "Plano keeps whole models and what stands behind their first slash in one set, and refuses a name that is there twice.",
        "cli/planoai/config_generator.py, Plano 0.4.36";
    DISAGREE = "WP301", Advice, "name and description share no word",
        "The name is what the router answers with; it should say the same as the description.",
        "Best practices in docs/source/guides/llm_router.rst of katanemo/plano";
    VAGUE = "WP302", Advice, "a vague word",
        "Descriptions should be specific and unambiguous: a vague word matches everything.",
        "Best practices in docs/source/guides/llm_router.rst of katanemo/plano";
    SHORT = "WP303", Advice, "a short description",
        "A description should list three to five sub-tasks or synonyms.",
        "Best practices in docs/source/guides/llm_router.rst of katanemo/plano";
    IMPERATIVE = "WP304", Advice, "an instruction instead of a description",
        "Descriptions that start with a noun or a gerund are steadier than commands or sentences with \"you\".",
        "llm_router.rst and skills/rules/routing-preferences.md of katanemo/plano";
    NO_DOMAIN_ROUTE = "WP305", Advice, "action routes only",
        "A domain route catches requests whose topic is clear but whose action is not.",
        "Best practices in docs/source/guides/llm_router.rst of katanemo/plano";
    UNSEEN = "WP306", Advice, "something that routers never see",
        "System messages, tool calls, tool results and images are removed before the router is asked.",
        "handlers/llm of katanemo/plano, all versions";
    SIMILAR = "WP307", Advice, "nearly the same description",
        "Routes should exclude each other; the router cannot tell these two apart.",
        "Best practices in docs/source/guides/llm_router.rst of katanemo/plano";
    ONE_MODEL = "WP308", Advice, "all routes lead to one model",
        "Routing then costs a call to the router and changes nothing.",
        "huggingface/chat-ui #2265, which removed its router for this reason";
    NO_FALLBACK = "WP309", Advice, "no fallback model",
        "Plano's guide asks for exactly one default provider; what fits no route Plano serves with the model that the request names.",
        "skills/rules/routing-default.md of katanemo/plano";
    NON_ASCII = "WP310", Advice, "letters that dialects spell differently",
        "The model card sends non-ASCII letters as \\u escapes, gateways send them as they are: results of one do not carry over to the other.",
        "README of katanemo/Arch-Router-1.5B; serde_json in katanemo/plano";
}
