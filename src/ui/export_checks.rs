//! What an export was tested with, and what each gateway version would do with the router's answers.

use egui::{ComboBox, Label, RichText, Ui};

use super::tokens::space;
use super::{bars, study_views, theme, widgets};
use crate::app::{Action, Command, ExportCommand, RouterPhase, State, StudyKind, Subject};
use crate::decision::other_orders;
use crate::dialect::{GATEWAYS, Gateway, outlook};
use crate::formats::{Evidence, Standing};
use crate::policy::{DialectId, PolicyEdit};

/// Confusions that are named.
const NAMED: usize = 3;

/// Draws the state of the evidence in plain words.
pub fn evidence_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    widgets::heading_ui(ui, "Evidence");
    // The preview says that there is none.
    if state.export.failed {
        return;
    }
    let Some(made) = state.export_made() else {
        widgets::caption_ui(ui, "Looking it up…");
        return;
    };
    let (word, colour, ground) = match made.standing {
        Standing::Tested => ("Tested", palette.good, palette.good_soft),
        Standing::NotTested => ("Not tested", palette.warning, palette.warning_soft),
        Standing::Changed => ("Changed since it was tested", palette.warning, palette.warning_soft),
        Standing::Doubtful => ("Tested in part", palette.warning, palette.warning_soft),
        Standing::FailsGate => ("Fails its gate", palette.error, palette.error_soft),
        Standing::FailsRequests => ("Fails most requests", palette.error, palette.error_soft),
    };
    theme::card_frame(palette.surface, palette.border).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = space::XS;
        widgets::chip_ui(ui, word, colour, ground);
        for problem in made.problems.iter().filter(|_| made.evidence.is_some()) {
            ui.add(Label::new(sentence(problem)).wrap());
        }
        match &made.evidence {
            Some(evidence) => facts_ui(ui, evidence),
            None => {
                ui.add(
                    Label::new(
                        "No run of this policy is known. Measure it over labelled conversations, and the export will say how well it did.",
                    )
                    .wrap(),
                );
                if widgets::button_ui(ui, "Measure it in Batch").clicked() {
                    commands.push(Command::Perform(Action::ShowBatch));
                }
            }
        }
        let explanation = "Take a run that was measured elsewhere: the folder that waypost eval --out wrote";
        if widgets::quiet_button_ui(ui, "Open a run…", "Open a run as evidence").on_hover_text(explanation).clicked() {
            commands.push(Command::Export(ExportCommand::ChooseRun));
        }
    });
}

fn facts_ui(ui: &mut Ui, evidence: &Evidence) {
    let Evidence { cases, agreement, agreement_ci95: [low, high], router, dialect, date, set, .. } = evidence;
    let percent = |share: &f64| format!("{:.1} %", 100.0 * share);
    let line = |ui: &mut Ui, text: String| drop(ui.add(Label::new(RichText::new(text).small()).wrap()));
    ui.label(format!("Agreement {}", percent(agreement))).on_hover_text("Share of cases whose decision equals the label");
    line(ui, format!("95 % interval {} to {}, over {cases} cases of {set}", percent(low), percent(high)));
    if let Some(note) = evidence.errors_note() {
        line(ui, note);
    }
    if let Some(note) = evidence.router_note() {
        ui.add(Label::new(RichText::new(sentence(note)).small().color(theme::palette(ui).warning)).wrap());
    }
    if let Some(note) = evidence.own_routes_note() {
        line(ui, sentence(&note));
    }
    if evidence.beyond_limit > 0 {
        line(ui, format!("Not measured: {} further cases of the set", evidence.beyond_limit));
    }
    match router.live_gateway() {
        Some(url) => line(ui, format!("Decided by the gateway at {url}; measured {date}")),
        None => {
            let dialect = dialect.map_or_else(String::new, |dialect| format!(", dialect {dialect}"));
            line(ui, format!("Router {}{}{dialect}", router.id, router.place()));
            line(ui, format!("Holds for {}; measured {date}", evidence.gateway_versions));
        }
    }
    line(
        ui,
        match &evidence.order_stability {
            Some(stability) if stability.orders == 0 => "The routes have no other order to test".to_owned(),
            Some(stability) => format!("{} cases change under {} of the routes", stability.changed_cases, other_orders(stability.orders)),
            None => "Other orders of the routes were not tested".to_owned(),
        },
    );
    for confusion in evidence.confusions.iter().take(NAMED) {
        line(ui, confusion.to_string());
    }
}

/// Draws which dialect the chosen gateway sends, and what each version makes of the router's answers.
pub fn gateways_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    widgets::heading_ui(ui, "Gateway");
    let Some((position, gateway)) = state.export_gateway() else {
        let sentence = "This gateway sends a prompt of its own, which Waypost does not send: decisions here are a guide, not a test of it";
        ui.add(Label::new(RichText::new(sentence).small()).wrap());
        return;
    };
    let format = state.export.format;
    // Of the versions that send a prompt, some do not read the file.
    let versions = |gateway: &Gateway| format.readers(gateway.dialect).unwrap_or(gateway.versions);
    let combo = ComboBox::from_id_salt("gateway").selected_text(versions(gateway)).width(ui.available_width());
    let response = combo.show_ui(ui, |ui| {
        for (other, gateway) in format.gateways().iter().enumerate() {
            if ui.selectable_label(other == position, versions(gateway)).clicked() {
                commands.push(Command::Export(ExportCommand::Gateway(other)));
            }
        }
    });
    response.response.accessible_name("Gateway that the export is for");
    let evidence = state.export_made().and_then(|made| made.evidence.as_ref());
    if evidence.is_some_and(|evidence| evidence.router.live_gateway().is_some()) {
        ui.add(Label::new(RichText::new("The run was decided by a running gateway, with the prompt that it sends itself").small()).wrap());
    } else {
        let tested = evidence.and_then(|evidence| evidence.dialect);
        dialect_ui(ui, state, tested, gateway.dialect, versions(gateway), commands);
    }
    ui.add_space(space::XS);
    outlook_ui(ui, state, commands);
}

fn dialect_ui(ui: &mut Ui, state: &State, tested: Option<DialectId>, sent: DialectId, versions: &str, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let own = state.dialect();
    let used = tested.unwrap_or(own);
    if used == sent && own == sent {
        ui.add(Label::new(RichText::new(format!("It sends {sent}, the dialect used for decisions here")).small()).wrap());
        return;
    }
    theme::card_frame(palette.warning_soft, palette.warning_soft).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = space::XS;
        // What surprises most: the prompt follows the gateway, not the router that it is configured to ask.
        let whatever = if sent == DialectId::Archgw031 { "" } else { ", whatever router it asks, Arch-Router included" };
        let was = if tested.is_some() { "the policy was tested with" } else { "decisions here use" };
        let sentence = format!("Another dialect: {versions} sends {sent}{whatever}, while {was} {used}");
        ui.add(Label::new(RichText::new(sentence).color(palette.warning)).wrap());
        let label = format!("Use {sent} for this policy");
        if own != sent && widgets::button_ui(ui, &label).on_hover_text("Can be undone").clicked() {
            commands.push(Command::EditPolicy(PolicyEdit::SetDialect(Some(sent))));
        }
    });
}

/// Asks the router as each gateway would, and reads its answers as each would.
fn outlook_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let loading = (state.router.phase != RouterPhase::Ready).then_some("The router is not loaded yet");
    // Its answer is a choice already: no router's text that another version could read otherwise.
    let live = state.router.info().is_some_and(|info| info.live_gateway().is_some());
    let live = live.then_some("A running gateway reports only its choice; choose the router that it asks");
    let obstacle = live.or(state.routing_obstacle()).or(loading);
    ui.horizontal_wrapped(|ui| {
        let button = ui.add_enabled(obstacle.is_none(), egui::Button::new("Check the dialects"));
        let explanation = "Asks the router as each gateway version does, and reads its answer as that version does";
        if button.on_hover_text(explanation).on_disabled_hover_text(obstacle.unwrap_or_default()).clicked() {
            commands.push(Command::Study(StudyKind::Gateways));
        }
        widgets::caption_ui(ui, format!("with “{}”", state.conversation().title));
    });
    let Some(study) = state.study(StudyKind::Gateways) else { return };
    let outdated = state.is_study_outdated(study);
    ui.scope(|ui| {
        if outdated {
            widgets::caption_ui(ui, study_views::OUTDATED);
            ui.multiply_opacity(0.55);
        }
        let names: Vec<&str> = study.policy.routes.iter().map(|route| route.name.as_str()).collect();
        for row in &study.rows {
            let Subject::Gateway(position) = row.subject else { continue };
            let Some(gateway) = GATEWAYS.get(position) else { continue };
            let waiting = if state.is_studying(StudyKind::Gateways) { "Waiting" } else { "Not asked" };
            let (sentence, colour) = match &row.result {
                None => (format!("{}: {waiting}", gateway.versions), palette.text_weak),
                Some(Err(error)) => (format!("{}: {error}", gateway.versions), palette.error),
                Some(Ok(decision)) => {
                    let chosen = decision.probabilities.iter().find(|entry| decision.chose(entry));
                    let share = chosen.map(|entry| format!(" ({})", bars::percent(entry.p)));
                    let colour = if decision.label().is_some() { palette.text } else { palette.error };
                    (outlook(gateway, &names, &decision.answer) + &share.unwrap_or_default(), colour)
                }
            };
            ui.add(Label::new(RichText::new(sentence).color(colour)).wrap());
        }
    });
}

fn sentence(problem: &str) -> String {
    let mut letters = problem.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
