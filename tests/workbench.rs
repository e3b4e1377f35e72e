//! What a user does with the window, from end to end, by accessible names; files are written to temporary folders.

mod batch;
mod compare;
mod drafts;
mod export;
mod files;
mod gateways;
mod imports;
mod in_view;
mod keyboard;
mod narrow;
mod routers;
mod studies;
mod waiting;

use std::path::Path;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use waypost::app::{Action, Command, Question, RouterSource, RoutersCommand, Section, StartOptions, StudyKind};
use waypost::engine::loader;
use waypost::policy::PolicyEdit;
use waypost::ui::{Window, theme};

use crate::fake_router::{Behaviour, on_request, options};
use crate::harness::{has, texts, wait_for, wait_until};
use crate::tiny_model::{Shape, Storage, TinyModel};

fn window(options: StartOptions) -> Harness<'static, Window> {
    window_in(options, None)
}

fn window_in(options: StartOptions, drafts: Option<&Path>) -> Harness<'static, Window> {
    window_sized([1280.0, 800.0], options, drafts)
}

fn window_sized(size: [f32; 2], options: StartOptions, drafts: Option<&Path>) -> Harness<'static, Window> {
    let drafts = drafts.map(Path::to_owned);
    let builder = Harness::builder().with_size(size).with_max_steps(16).allow_missing_glyphs().with_context_setup(theme::apply);
    builder.build_eframe(move |creation| Window::with_drafts(&creation.egui_ctx, options, drafts).unwrap())
}

fn click(harness: &mut Harness<'_, Window>, label: &str) {
    harness.get_by_label(label).click();
    harness.run();
}

fn press(harness: &mut Harness<'_, Window>, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    harness.run();
}

fn write_in(harness: &mut Harness<'_, Window>, label: &str, text: &str) {
    harness.get_by_label(label).focus();
    harness.run();
    harness.get_by_label(label).type_text(text);
    harness.run();
}

fn perform(harness: &mut Harness<'_, Window>, command: Command) {
    harness.state_mut().run(command);
    harness.run();
}

/// The whole of a first session, with the real engine on a tiny network.
#[test]
fn author_a_route_paste_a_conversation_route_it_undo_save_and_reopen() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = TinyModel::random(Shape::SMALL, 7);
    model.teach("{\"route\": \"new_route\"}", 8.0);
    let router = model.write(&folder.path().join("router"), Storage::F32, 1);
    let start = StartOptions { router: Some(router), loader: loader(), ..options(Behaviour::Decide) };
    let mut harness = window(start);
    click(&mut harness, "Add route");
    write_in(&mut harness, "Route description", "Refunds and invoices");
    press(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::V);
    write_in(&mut harness, "Text to import", "User: I was charged twice\nAssistant: Sorry\nUser: please refund me");
    wait_for(&mut harness, "Understood as: Transcript");
    click(&mut harness, "Replace current");
    assert_eq!(harness.get_by_label("Message 3").value().unwrap(), "please refund me");
    wait_for(&mut harness, "Ready");
    let counted = |harness: &Harness<'_, Window>| harness.state().app().state().prompt_tokens();
    wait_until(&mut harness, "the exact number of tokens", |harness| counted(harness).is_some());
    let before = counted(&harness).unwrap();
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    wait_until(&mut harness, "a decision", |harness| harness.state().app().state().shown.is_some());
    let shown = harness.state().app().state().shown.clone().unwrap();
    assert_eq!(before, shown.decision.tokens.prompt, "counted before a decision as in it");
    assert_eq!(shown.decision.probabilities.len(), 7, "five routes of the sample, the new one, and no route");
    let sum: f64 = shown.decision.probabilities.iter().map(|entry| entry.p).sum();
    assert!((sum + shown.decision.invalid_mass - 1.0).abs() < 1e-3);
    assert!(has(&harness, "new_route: "));

    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!(harness.state().app().state().conversation().text.messages.len(), 1, "the import was undone");
    press(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(harness.state().app().state().conversation().text.messages.len(), 3);

    let path = folder.path().join("billing.yaml");
    let id = harness.state().app().state().policy().id;
    perform(&mut harness, Command::SaveTo(id, path.clone()));
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.contains("Refunds and invoices") && written.starts_with("# Route names"), "{written}");
    write_in(&mut harness, "Route description", " and receipts");
    press(&mut harness, Modifiers::COMMAND, Key::S);
    assert!(std::fs::read_to_string(&path).unwrap().contains("receipts"));
    let told = format!("Saved to {}", path.display());
    assert!(has(&harness, &told), "{:#?}", texts(&harness));
    write_in(&mut harness, "Route description", " too");
    assert!(!has(&harness, &told), "something else was changed since");
    drop(harness);

    let reopened = StartOptions { files: vec![path], ..options(Behaviour::Decide) };
    let harness = window(reopened);
    assert!(has(&harness, "Route new_route"));
    assert!(!harness.state().app().state().policy().is_modified());
}

#[test]
fn undo_and_redo_go_through_every_kind_of_change() {
    let mut harness = window(options(Behaviour::Decide));
    click(&mut harness, "Route bug_fixing");
    click(&mut harness, "Duplicate selected route");
    click(&mut harness, "Move selected route up");
    click(&mut harness, "Remove selected route");
    let names = |harness: &Harness<'_, Window>| {
        harness.state().app().state().routes().routes.iter().map(|route| route.name.clone()).collect::<Vec<_>>()
    };
    let end = names(&harness);
    assert_eq!(end.len(), 5);
    for _ in 0..2 {
        press(&mut harness, Modifiers::COMMAND, Key::Z);
    }
    assert_eq!(names(&harness)[2], "bug_fixing_copy");
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert!(!harness.state().app().state().policy().is_modified());
    for _ in 0..3 {
        press(&mut harness, Modifiers::COMMAND, Key::Y);
    }
    assert_eq!(names(&harness), end);
}

#[test]
fn the_yaml_changes_the_policy_and_marks_the_line_it_cannot_read() {
    let mut harness = window(options(Behaviour::Decide));
    press(&mut harness, Modifiers::COMMAND, Key::E);
    assert!(harness.get_by_label("YAML of the policy").value().unwrap().contains("bug_fixing"));
    perform(&mut harness, Command::EditYaml("routes:\n  - name: a\n    description: b\n".to_owned()));
    assert!(has(&harness, "Route a"));
    perform(&mut harness, Command::EditYaml("routes:\n  - name: a\n    description: [\n".to_owned()));
    assert!(has(&harness, "Line "), "{:#?}", texts(&harness));
    assert!(has(&harness, "Route a"), "the last version that could be read stays");
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert!(harness.state().app().state().policy().text.error.is_none());
}

#[test]
fn a_yaml_that_cannot_be_read_is_kept_until_it_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Decide));
    let broken = "routes:\n  - name: a\n    description: [\n";
    perform(&mut harness, Command::EditYaml(broken.to_owned()));
    // The form is on screen, with the last version that could be read.
    assert!(has(&harness, "Line ") && has(&harness, "repair the YAML before you change anything here"), "{:#?}", texts(&harness));
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "lost".to_owned() }));
    let obstacle = "The YAML of the policy cannot be read; repair it first";
    assert!(has(&harness, obstacle), "{:#?}", texts(&harness));
    batch::open_set(&mut harness, &batch::write_set(folder.path()));
    let state = harness.state().app().state();
    assert_eq!(&**state.policy().text.yaml(), broken);
    assert_eq!((Action::AddRoute.obstacle(state), state.measuring_obstacle()), (Some(obstacle), Some(obstacle)));
}

/// Returns how many decisions the fake router made since it was loaded.
fn decisions(harness: &Harness<'_, Window>) -> u64 {
    harness.state().app().state().router.cache.map_or(0, |cache| cache.hit_tokens / 400)
}

/// Returns whether a decision is under way, which [`decisions`] does not count yet.
fn is_routing(harness: &Harness<'_, Window>) -> bool {
    harness.state().app().state().is_routing()
}

/// Loads the router once more.
fn load_again(harness: &mut Harness<'_, Window>) {
    let loads = |harness: &Harness<'_, Window>| {
        let entries = harness.state().app().state().log.entries();
        entries.iter().filter(|entry| entry.text.starts_with("Loaded Fake router")).count()
    };
    let before = loads(harness);
    perform(harness, Command::Perform(Action::LoadRouter));
    wait_until(harness, "the router", |harness| loads(harness) > before);
}

#[test]
fn a_router_that_runs_here_decides_once_by_itself() {
    let mut harness = window(options(Behaviour::Decide));
    wait_for(&mut harness, "bug_fixing: 91.3 %, chosen");
    wait_for(&mut harness, "Ready");
    harness.run();
    assert_eq!(decisions(&harness), 1, "nothing was changed since");
    load_again(&mut harness);
    assert!(!is_routing(&harness) && decisions(&harness) == 0, "what the same router decided stands");

    let mut harness = window(on_request(Behaviour::Decide));
    wait_for(&mut harness, "Ready");
    assert!(has(&harness, "No decision yet"), "routing while typing is off: {:#?}", texts(&harness));
}

#[test]
fn a_server_is_asked_when_the_user_types_also_the_first_time_and_not_before() {
    for address in ["http://127.0.0.1:1/v1#arch", "plano+http://127.0.0.1:1"] {
        let router = address.parse::<RouterSource>().unwrap();
        let mut harness = window(StartOptions { router: Some(router), ..options(Behaviour::Decide) });
        wait_for(&mut harness, "Ready");
        perform(&mut harness, Command::Perform(Action::Live));
        load_again(&mut harness);
        assert!(has(&harness, "No decision yet") && !is_routing(&harness) && decisions(&harness) == 0, "{:#?}", texts(&harness));
        perform(&mut harness, Command::EditYaml("routes:\n  - {name: a, description: b}\n  - {name: c, description: d}\n".to_owned()));
        wait_for(&mut harness, "c: 91.3 %, chosen");
    }
}

#[test]
fn the_palette_finds_an_action_by_its_letters() {
    let mut harness = window(options(Behaviour::Decide));
    press(&mut harness, Modifiers::COMMAND, Key::K);
    harness.get_by_role_and_label(Role::TextInput, "Find action").type_text("playgr");
    harness.run();
    press(&mut harness, Modifiers::NONE, Key::Enter);
    assert!(has(&harness, "Shelf"), "{:#?}", texts(&harness));
    assert!(harness.state().app().state().dialog.is_none());

    // What was typed and given up is not there the next time.
    press(&mut harness, Modifiers::COMMAND, Key::K);
    harness.get_by_role_and_label(Role::TextInput, "Find action").type_text("thm");
    harness.run();
    press(&mut harness, Modifiers::NONE, Key::Escape);
    press(&mut harness, Modifiers::COMMAND, Key::K);
    assert_eq!(harness.get_by_role_and_label(Role::TextInput, "Find action").value().unwrap_or_default(), "");
}

const SECTIONS: [Section; 9] = [
    Section::Turns,
    Section::Variants,
    Section::Prompt,
    Section::Order,
    Section::Wording,
    Section::History,
    Section::Robustness,
    Section::Shelf,
    Section::Result,
];

#[test]
fn every_tab_and_every_section_can_be_drawn_in_both_themes() {
    let mut harness = window(options(Behaviour::Decide));
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    wait_for(&mut harness, "bug_fixing: 91.3 %");
    perform(&mut harness, Command::Perform(Action::NewVariant));
    for theme in [Action::ThemeDark, Action::ThemeLight] {
        perform(&mut harness, Command::Perform(theme));
        for tab in [Action::ShowBatch, Action::ShowCompare, Action::ShowExport, Action::ShowPolicy, Action::ShowPlayground] {
            perform(&mut harness, Command::Perform(tab));
            for section in SECTIONS {
                perform(&mut harness, Command::ShowSection(section));
            }
        }
    }
}

#[test]
fn an_edit_routes_again_by_itself_and_marks_the_change() {
    let mut harness = window(options(Behaviour::Moves));
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    wait_for(&mut harness, "bug_fixing: ");
    write_in(&mut harness, "Route description", " x");
    wait_for(&mut harness, "points since the last edit");
    assert!(!harness.state().app().state().is_shown_outdated());
}

#[test]
fn variants_and_turns_are_routed_and_shown_beside_each_other() {
    let mut harness = window(options(Behaviour::Decide));
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    wait_for(&mut harness, "bug_fixing: 91.3 %");
    press(&mut harness, Modifiers::COMMAND, Key::D);
    click(&mut harness, "Variants");
    let decided = |kind| {
        move |harness: &Harness<'_, Window>| {
            let study = harness.state().app().state().study(kind);
            study.is_some_and(|study| study.rows.iter().all(|row| row.decision().is_some()))
        }
    };
    wait_until(&mut harness, "both variants", decided(StudyKind::Variants));
    assert_eq!(harness.state().app().state().study(StudyKind::Variants).unwrap().rows.len(), 2);
    assert!(has(&harness, "variant 2"));
    click(&mut harness, "Turns");
    wait_until(&mut harness, "the turns", decided(StudyKind::Turns));
    harness.get_by_label_contains("After message 1: bug_fixing").click();
    harness.run();
    assert!(has(&harness, "After message 1"));
}

#[test]
fn the_shelf_is_replayed_and_what_is_routed_elsewhere_since_the_save_is_marked() {
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(batch::POLICY.to_owned()));
    perform(&mut harness, Command::ImportText("User: refund please".to_owned()));
    perform(&mut harness, Command::ImportAccept { replace: true });
    perform(&mut harness, Command::ImportText("User: where is my parcel".to_owned()));
    perform(&mut harness, Command::ImportAccept { replace: false });
    let folder = tempfile::tempdir().unwrap();
    let id = harness.state().app().state().policy().id;
    perform(&mut harness, Command::SaveTo(id, folder.path().join("p.yaml")));
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    wait_for(&mut harness, "shipping: 91.3 %, chosen");
    perform(&mut harness, Command::ShowSection(Section::Shelf));
    wait_for(&mut harness, ": shipping, 91.3 %");
    assert!(has(&harness, "The policy was not changed since it was saved"), "{:#?}", texts(&harness));
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "invoice charge".to_owned() }));
    wait_for(&mut harness, "1 of 2 are routed elsewhere than by the saved policy");
    assert!(has(&harness, ": No route, was billing, 91.3 %"), "{:#?}", texts(&harness));
}

#[test]
fn the_prompt_is_shown_exactly_and_says_what_is_not_sent() {
    let mut harness = window(options(Behaviour::Decide));
    let system = r#"[{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]"#;
    perform(&mut harness, Command::ImportText(system.to_owned()));
    click(&mut harness, "Add to shelf");
    click(&mut harness, "Prompt");
    assert!(has(&harness, "Message 1 is not sent: the gateway does not send this role to the router"), "{:#?}", texts(&harness));
    assert!(has(&harness, "You are a helpful assistant designed to find the best suited route.") && has(&harness, "Fixed text"));
    let prompt = harness.state().app().state().prompt.clone();
    for part in [&prompt.routes, &prompt.conversation] {
        assert!(harness.query_by_label(&prompt.text[part.clone()]).is_some(), "{:#?}", texts(&harness));
    }
}

#[test]
fn closing_unsaved_changes_asks_first() {
    let mut harness = window(options(Behaviour::Decide));
    click(&mut harness, "Add route");
    press(&mut harness, Modifiers::COMMAND, Key::W);
    assert!(has(&harness, "Close Coding assistant?") && has(&harness, "Save as…"));
    click(&mut harness, "Keep editing");
    assert!(has(&harness, "Route new_route"));
    press(&mut harness, Modifiers::COMMAND, Key::W);
    click(&mut harness, "Close without saving");
    assert!(!has(&harness, "Route bug_fixing"));
}

#[test]
fn a_file_that_another_program_changed_is_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, "routes:\n  - name: a\n    description: b\n").unwrap();
    let mut harness = window(StartOptions { files: vec![path.clone()], ..options(Behaviour::Decide) });
    std::fs::write(&path, "routes:\n  - name: changed\n    description: b\n").unwrap();
    click(&mut harness, "Add route");
    press(&mut harness, Modifiers::COMMAND, Key::S);
    let question = harness.state().app().state().dialog.clone();
    assert!(matches!(question, Some(waypost::app::Dialog::Question(Question::Changed { saving: true, .. }))));
    click(&mut harness, "Load the file");
    assert!(has(&harness, "Route changed"));
}

#[test]
fn a_sample_policy_opens_beside_the_others_with_its_set() {
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::NewFromSample(4));
    assert!(has(&harness, "Route travel_advice") && !harness.state().app().state().policy().is_modified());
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    click(&mut harness, "Try the sample set");
    wait_for(&mut harness, "labelled conversations are ready");
    assert!(harness.state().app().state().batch.set.as_ref().unwrap().set.path().ends_with("travel.jsonl"));
}

#[test]
fn the_zoom_is_an_action_too() {
    let mut harness = window(options(Behaviour::Decide));
    let zooms = |harness: &Harness<'_, Window>| [harness.state().app().state().settings.zoom, harness.ctx.zoom_factor()];
    press(&mut harness, Modifiers::COMMAND, Key::Plus);
    assert_eq!(zooms(&harness), [1.1; 2], "once, whoever takes the keys");
    press(&mut harness, Modifiers::COMMAND, Key::Num0);
    assert_eq!(zooms(&harness), [1.0; 2]);
}

#[test]
fn all_files_of_the_command_line_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let policy = |name: &str| format!("name: {name}\nroutes:\n  - name: a\n    description: b\n");
    let talk = file("talk.txt", "User: hello\nAssistant: good day\nUser: bye");
    let files = vec![talk, file("a.yaml", &policy("first")), file("b.yaml", &policy("second"))];
    let harness = window(StartOptions { files, ..options(Behaviour::Decide) });
    let state = harness.state().app().state();
    assert_eq!(state.policies.iter().map(|document| document.title.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(state.conversations.iter().map(|document| document.title.as_str()).collect::<Vec<_>>(), ["talk"]);
}

#[test]
fn a_router_that_is_dropped_is_chosen_and_stays_in_the_list() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let mut harness = window(options(Behaviour::Decide));
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Open(folder.path().to_owned()));
    let state = harness.state().app().state();
    assert_eq!(state.router.source, RouterSource::Folder(folder.path().to_owned()));
    assert_eq!(state.settings.routers, [folder.path().display().to_string()]);
}

#[test]
fn a_file_that_cannot_be_read_is_a_sentence_and_the_sample_opens() {
    let missing = StartOptions { files: vec!["/nowhere/p.yaml".into()], ..options(Behaviour::Decide) };
    let harness = window(missing);
    assert!(has(&harness, "/nowhere/p.yaml: there is no such file; check the path"), "{:#?}", texts(&harness));
    assert!(has(&harness, "Route bug_fixing"));
}

#[test]
fn several_files_that_other_programs_changed_are_asked_about_one_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["p.yaml", "q.yaml"].map(|name| folder.path().join(name));
    let mut harness = window(options(Behaviour::Decide));
    for path in &paths {
        std::fs::write(path, "name: before\nroutes:\n  - name: a\n    description: b\n").unwrap();
        perform(&mut harness, Command::Open(path.clone()));
        std::fs::write(path, "name: after it\nroutes:\n  - name: a\n    description: b\n").unwrap();
    }
    perform(&mut harness, Command::Open(paths[0].clone()));
    click(&mut harness, "Load the file");
    assert!(has(&harness, "before was changed on disk"), "{:#?}", texts(&harness));
    click(&mut harness, "Load the file");
    let state = harness.state().app().state();
    assert!(state.dialog.is_none());
    assert_eq!(
        state.policies.iter().map(|document| document.title.as_str()).collect::<Vec<_>>(),
        ["Coding assistant", "after it", "after it"]
    );
}

#[test]
fn an_undone_name_is_gone_from_the_tab_too() {
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::EditPolicy(PolicyEdit::SetName(Some("Another".to_owned()))));
    let title = |harness: &Harness<'_, Window>| harness.state().app().state().policy().title.clone();
    assert_eq!(title(&harness), "Another");
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!(title(&harness), "Coding assistant");
    press(&mut harness, Modifiers::COMMAND, Key::Y);
    assert_eq!(title(&harness), "Another");
}

#[test]
fn routes_are_moved_inside_their_domain() {
    let mut harness = window(options(Behaviour::Decide));
    let route = |name: &str, domain: &str| format!("  - name: {name}\n    description: d\n    domain: {domain}\n");
    let routes = [("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")].map(|(name, domain)| route(name, domain)).concat();
    perform(&mut harness, Command::EditYaml(format!("routes:\n{routes}")));
    let names = |harness: &Harness<'_, Window>| {
        let state = harness.state().app().state();
        let names: String = state.routes().routes.iter().map(|route| route.name.as_str()).collect();
        (names, state.selected)
    };
    perform(&mut harness, Command::SelectRoute(2));
    assert_eq!(Action::MoveRouteDown.obstacle(harness.state().app().state()), Some("The route is the last of its group"));
    perform(&mut harness, Command::SelectRoute(0));
    press(&mut harness, Modifiers::ALT, Key::ArrowDown);
    assert_eq!(names(&harness), ("cabd".to_owned(), 1), "x stays before y, and the moved route selected");
    press(&mut harness, Modifiers::ALT, Key::ArrowUp);
    assert_eq!(names(&harness), ("acbd".to_owned(), 0));
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!(names(&harness), ("cabd".to_owned(), 1), "the moved route stays selected where an undo puts it");
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!(names(&harness), ("abcd".to_owned(), 0));
    press(&mut harness, Modifiers::COMMAND, Key::Y);
    assert_eq!(names(&harness), ("cabd".to_owned(), 1));
}

#[test]
fn a_decision_of_another_router_is_told_and_while_typing_replaced() {
    let mut harness = window(options(Behaviour::Decide));
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    wait_for(&mut harness, "bug_fixing: 91.3 %");
    let choose = |name: &str| Command::Routers(RoutersCommand::Choose(RouterSource::Folder(name.into())));
    perform(&mut harness, choose("second"));
    wait_for(&mut harness, "Another router made this decision");
    perform(&mut harness, Command::Perform(Action::Live));
    perform(&mut harness, choose("third"));
    wait_until(&mut harness, "its decision", |harness| {
        harness.state().app().state().shown.as_ref().is_some_and(|shown| shown.decision.router.id == "third")
    });
    assert!(!has(&harness, "Another router"));
}

#[test]
fn without_probabilities_no_margin_is_made_up() {
    let mut harness = window(options(Behaviour::Bare));
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    wait_for(&mut harness, "This router gives no probabilities");
    assert!(!has(&harness, "Close call") && !has(&harness, "Outside valid answers"), "{:#?}", texts(&harness));
}

#[test]
fn a_running_gateway_claims_no_dialect_no_counts_and_no_router_text() {
    let mut harness = window(options(Behaviour::Bare));
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    wait_for(&mut harness, "which asked its router with its own prompt");
    assert!(!has(&harness, "greedy decoding") && !has(&harness, ", read as"), "{:#?}", texts(&harness));
    assert!(has(&harness, "Plano may keep a session on an earlier model"), "{:#?}", texts(&harness));
    assert!(has(&harness, "Not known") && !has(&harness, "From cache"), "{:#?}", texts(&harness));
    assert_eq!(harness.state().app().state().prompt_tokens(), None);
    assert!(has(&harness, "Prompt about "), "{:#?}", texts(&harness));
    perform(&mut harness, Command::Perform(Action::ShowExport));
    assert!(harness.get_by_label("Check the dialects").accesskit_node().is_disabled());
}

#[test]
fn what_a_server_does_not_tell_is_called_so() {
    let mut harness = window(options(Behaviour::Server));
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    wait_for(&mut harness, "Not reported by the server: 0.2 %");
    assert!(!has(&harness, "Outside valid answers"), "{:#?}", texts(&harness));
    assert!(harness.query_by_label("server").is_none() && harness.query_by_label("f32").is_none(), "{:#?}", texts(&harness));
    let folder = tempfile::tempdir().unwrap();
    let harness = batch::measured(Behaviour::Server, folder.path(), None);
    assert!(has(&harness, "fake, ") && !has(&harness, "on server"), "{:#?}", texts(&harness));
}

/// Draws a frame and returns how much is in it: shapes that are painted, and controls that a screen reader is told of.
fn drawn(harness: &mut Harness<'_, Window>) -> [usize; 2] {
    harness.step();
    [harness.output().shapes.len(), harness.root().children_recursive().count()]
}

#[test]
fn frames_do_not_grow_with_the_data() {
    let drawn_with = |count: usize| {
        let mut harness = window(on_request(Behaviour::Decide));
        wait_for(&mut harness, "Ready");
        let routes: String =
            (0..count).map(|n| format!("  - name: r{n}\n    description: route number {n}\n    domain: d{}\n", n / 20)).collect();
        perform(&mut harness, Command::EditYaml(format!("routes:\n{routes}")));
        let messages: String = (0..count).map(|n| format!("User: question {n}\nAssistant: answer {n}\n")).collect();
        perform(&mut harness, Command::ImportText(messages));
        wait_until(&mut harness, "what was understood", |harness| has(harness, &format!("{} messages", 2 * count)));
        perform(&mut harness, Command::ImportAccept { replace: true });
        assert_eq!(harness.state().app().state().conversation().text.messages.len(), 2 * count);
        perform(&mut harness, Command::Perform(Action::ShowPolicy));
        perform(&mut harness, Command::Perform(Action::Route));
        wait_until(&mut harness, "the decision", |harness| {
            has(harness, "r1: 91.3 %, chosen") && !harness.state().app().state().is_routing() && !has(harness, "The texts have changed")
        });
        let on_policy = drawn(&mut harness);
        perform(&mut harness, Command::Perform(Action::ShowPlayground));
        [on_policy, drawn(&mut harness)]
    };
    let (few, many) = (drawn_with(300), drawn_with(3000));
    println!("shapes and controls in the Policy tab and in the Playground: {few:?} with 300 routes, {many:?} with 3000");
    for (few, many) in few.as_flattened().iter().zip(many.as_flattened()) {
        assert!(many.abs_diff(*few) <= few / 10, "{few} became {many}");
    }
}

/// The drawing thread never waits for the engine: this router decides nothing before it is told to stop, so a frame that waited for it would
/// not end. How long frames take is no matter of a test: `WAYPOST_FRAME_TIMES=1` tells it of the window itself.
#[test]
fn typing_goes_on_while_the_engine_works() {
    let mut harness = window(on_request(Behaviour::Block));
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Live));
    perform(&mut harness, Command::Perform(Action::Route));
    for key in 0..60 {
        harness.get_by_label("Route description").focus();
        harness.get_by_label("Route description").type_text(if key % 6 == 5 { " " } else { "e" });
        harness.step();
        assert!(harness.state().app().state().is_routing(), "the decision that was under way is over");
        if key % 8 == 0 {
            perform(&mut harness, Command::Perform(Action::Route));
        }
    }
    let description = &harness.state().app().state().routes().routes[0].description;
    assert!(description.ends_with(&"eeeee ".repeat(10)), "every key arrived: {description}");
}
