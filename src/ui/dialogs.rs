//! What stands in front of the window: questions, and the frame that the palette and the import share.

use egui::{Context, Id, Modal, RichText, Ui};

use super::tokens::{self, space, text};
use super::{export_preview, gateway_dialog, import_dialog, lint_view, palette, router_panel, set_view, theme, widgets};
use crate::app::{Answer, Command, Dialog, DocId, Question, State};

/// Draws the open dialog, if there is one.
pub fn dialogs_ui(ctx: &Context, state: &State, commands: &mut Vec<Command>) {
    let Some(dialog) = &state.dialog else { return };
    let response = match dialog {
        Dialog::Palette => {
            let area = Modal::default_area(Id::unique("palette")).anchor(egui::Align2::CENTER_TOP, egui::vec2(0.0, 96.0));
            modal(ctx, "palette", space::S).area(area).show(ctx, |ui| palette::palette_ui(ui, state, commands))
        }
        Dialog::Import(import) => {
            modal(ctx, "import", space::L).show(ctx, |ui| import_dialog::import_dialog_ui(ui, state, import, commands))
        }
        Dialog::AddToSet(add) => modal(ctx, "add to set", space::L).show(ctx, |ui| set_view::add_dialog_ui(ui, state, add, commands)),
        Dialog::Gateway(import) => {
            modal(ctx, "gateway", space::L).show(ctx, |ui| gateway_dialog::gateway_dialog_ui(ui, state, import, commands))
        }
        Dialog::Routers => modal(ctx, "routers", space::L).show(ctx, |ui| router_panel::router_panel_ui(ui, state, commands)),
        Dialog::Rule(code) => modal(ctx, "rule", space::L).show(ctx, |ui| lint_view::rule_ui(ui, code, commands)),
        Dialog::Question(question) => modal(ctx, "question", space::L).show(ctx, |ui| question_ui(ui, state, question, commands)),
        Dialog::Untested(problems) => modal(ctx, "untested", space::L).show(ctx, |ui| export_preview::untested_ui(ui, problems, commands)),
    };
    if response.should_close() {
        commands.push(Command::CloseDialog);
    }
}

/// Returns a dialog with a name and room around what it holds.
fn modal(ctx: &Context, name: &str, margin: f32) -> Modal {
    Modal::new(Id::unique(name)).frame(egui::Frame::popup(&ctx.global_style()).inner_margin(margin))
}

fn question_ui(ui: &mut Ui, state: &State, question: &Question, commands: &mut Vec<Command>) {
    ui.set_width(440.0);
    let lost: String;
    let (title, sentence, answers): (String, &str, &[(Answer, &str)]) = match *question {
        Question::Close(id) => {
            let has_file = has_file(state, id);
            let answers: &[_] = if has_file {
                &[(Answer::Cancel, "Keep editing"), (Answer::Discard, "Close without saving"), (Answer::Save, "Save and close")]
            } else {
                &[(Answer::Cancel, "Keep editing"), (Answer::Discard, "Close without saving"), (Answer::Save, "Save as…")]
            };
            let sentence = if has_file { "It has unsaved changes" } else { "It has never been saved" };
            (format!("Close {}?", title(state, id)), sentence, answers)
        }
        Question::DeleteRun(ref id) => {
            let name = state.library.run(id).map_or("the run", |run| &run.name);
            (
                format!("Delete {name}?"),
                "Its results will be deleted; the policy and the set stay",
                &[(Answer::Cancel, "Keep it"), (Answer::Discard, "Delete the run")],
            )
        }
        Question::CloseWindow(ref titles) => {
            lost = format!("These changes are in no file or draft and will be lost: {}", named(titles));
            ("Close Waypost?".to_owned(), lost.as_str(), &[(Answer::Cancel, "Keep editing"), (Answer::Discard, "Close without saving")])
        }
        Question::Changed { document, saving, .. } => {
            let sentence = if saving {
                "Another program changed its file since it was read; saving would overwrite that"
            } else {
                "Another program changed its file; loading it can be undone"
            };
            let answers: &[_] = if saving {
                &[(Answer::Cancel, "Cancel"), (Answer::LoadFile, "Load the file"), (Answer::KeepMine, "Overwrite the file")]
            } else {
                &[(Answer::KeepMine, "Keep my version"), (Answer::LoadFile, "Load the file")]
            };
            (format!("{} was changed on disk", title(state, document)), sentence, answers)
        }
    };
    ui.label(RichText::new(title).font(tokens::strong_font(text::HEADING)));
    ui.label(RichText::new(sentence).color(theme::palette(ui).text_weak));
    ui.add_space(space::M);
    widgets::footer_ui(ui, |ui| {
        for (answer, label) in answers {
            if widgets::button_ui(ui, label).clicked() {
                commands.push(Command::Answer(*answer));
            }
        }
    });
}

/// Names the first titles and counts the others.
fn named(titles: &[String]) -> String {
    const NAMED: usize = 5;
    let names = titles[..titles.len().min(NAMED)].join(", ");
    if titles.len() > NAMED { format!("{names} and {} more", titles.len() - NAMED) } else { names }
}

fn title(state: &State, id: DocId) -> String {
    let policy = state.policies.iter().find(|document| document.id == id).map(|document| document.title.clone());
    let conversation = || state.conversations.iter().find(|document| document.id == id).map(|document| document.title.clone());
    policy.or_else(conversation).unwrap_or_default()
}

fn has_file(state: &State, id: DocId) -> bool {
    state.policies.iter().any(|document| document.id == id && document.path.is_some())
        || state.conversations.iter().any(|document| document.id == id && document.path.is_some())
}
