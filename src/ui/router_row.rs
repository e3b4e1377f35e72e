//! One router of the panel: its facts, its download, and the terms that have to be accepted first.

use std::time::Duration;

use egui::{ComboBox, Label, RichText, ScrollArea, Ui};

use super::router_panel::error_ui;
use super::theme;
use super::tokens::{self, space, text};
use super::widgets::{self, bytes_text};
use crate::app::{
    Command, Download, DownloadPhase, ListedRouter, Plan, Presence, RouterPhase, RouterSource, RoutersCommand, State, Transfer,
};

/// Requests at a time and seconds for an answer that can be chosen; the command line takes any others.
const REQUESTS: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const SECONDS: [u64; 8] = [5, 10, 30, 60, 120, 300, 600, 1800];

/// Draws the row.
pub fn router_row_ui(ui: &mut Ui, state: &State, router: &ListedRouter, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let is_chosen = state.router.source.is_same(&router.source);
    let ground = if is_chosen { palette.accent_soft } else { palette.raised };
    theme::card_frame(ground, ground).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        let download = hub_id(router).and_then(|id| state.routers.download(id));
        widgets::header_ui(
            ui,
            |ui| {
                ui.add(Label::new(RichText::new(&router.label).font(tokens::strong_font(text::BODY))).truncate());
            },
            |ui| buttons_ui(ui, state, router, download, commands),
        );
        if !router.note.is_empty() {
            widgets::caption_ui(ui, router.note);
        }
        if router.disk_bytes.is_some() || state.routers.remembered.speed(&router.source.to_string(), "server").is_some() {
            facts_ui(ui, state, router);
        }
        limits_ui(ui, state, router, commands);
        if let Presence::Unusable(reason) = &router.presence {
            error_ui(ui, reason);
        }
        match download.map(|download| &download.phase) {
            Some(DownloadPhase::Asking) => drop(widgets::caption_ui(ui, "Asking the Hub")),
            Some(DownloadPhase::Licence(plan)) => licence_ui(ui, router, plan, commands),
            Some(DownloadPhase::Running(transfer)) => transfer_ui(ui, router, transfer),
            Some(DownloadPhase::Failed(reason)) => error_ui(ui, reason),
            None => {}
        }
    });
    ui.add_space(space::XS);
}

fn hub_id(router: &ListedRouter) -> Option<&str> {
    if let RouterSource::Hub(id) = &router.source { Some(id) } else { None }
}

fn buttons_ui(ui: &mut Ui, state: &State, router: &ListedRouter, download: Option<&Download>, commands: &mut Vec<Command>) {
    let mut press = |ui: &mut Ui, label: &str, name: String, command: RoutersCommand| {
        let button = egui::Button::new(label).min_size(egui::vec2(0.0, tokens::CONTROL_HEIGHT));
        let obstacle = state.router_change_obstacle().filter(|_| matches!(command, RoutersCommand::Choose(_)));
        let response = ui.add_enabled(obstacle.is_none(), button).on_disabled_hover_text(obstacle.unwrap_or_default());
        if response.accessible_name(name).clicked() {
            commands.push(Command::Routers(command));
        }
    };
    let label = &router.label;
    let is_chosen = state.router.source.is_same(&router.source);
    let is_added = state.settings.routers.contains(&router.source.to_string());
    if is_added && !is_chosen {
        press(ui, "Forget", format!("Forget {label}"), RoutersCommand::Forget(router.source.clone()));
    }
    if is_chosen && state.router.phase == RouterPhase::Ready {
        widgets::chip_ui(ui, "In use", theme::palette(ui).good, theme::palette(ui).good_soft);
    } else if is_chosen && state.router.phase == RouterPhase::Loading {
        widgets::caption_ui(ui, "Loading");
    } else if matches!(router.presence, Presence::Here | Presence::Remote) {
        press(ui, "Use", format!("Use {label}"), RoutersCommand::Choose(router.source.clone()));
    }
    match (download.map(|download| &download.phase), hub_id(router)) {
        (Some(DownloadPhase::Failed(_)), Some(id)) => {
            press(ui, "Try again", format!("Download {label} again"), RoutersCommand::Download(id.to_owned()));
            press(ui, "Dismiss", format!("Dismiss failed download of {label}"), RoutersCommand::Cancel(id.to_owned()));
        }
        (Some(DownloadPhase::Licence(_)), _) => {}
        (Some(_), Some(id)) => press(ui, "Cancel", format!("Cancel download of {label}"), RoutersCommand::Cancel(id.to_owned())),
        (None, Some(id)) if router.presence == Presence::ToDownload => {
            press(ui, "Download", format!("Download {label}"), RoutersCommand::Download(id.to_owned()));
        }
        _ => {}
    }
}

/// Draws sizes, precision, licence, digest and speed in one line.
fn facts_ui(ui: &mut Ui, state: &State, router: &ListedRouter) {
    let panel = &state.routers;
    let palette = theme::palette(ui);
    let about = if router.presence == Presence::ToDownload { "about " } else { "" };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::M;
        if let Some(bytes) = router.disk_bytes {
            widgets::caption_ui(ui, format!("{about}{} on disk", bytes_text(bytes)));
        }
        if let Some(needed) = router.memory_bytes {
            let (verdict, colour) = match panel.place.fits(needed) {
                None => (String::new(), palette.text_weak),
                Some(true) => (", fits".to_owned(), palette.text_weak),
                Some(false) => (format!(", {}", panel.place.shortage(needed)), palette.warning),
            };
            let needs = format!("needs about {} of {}{verdict}", bytes_text(needed), panel.place.memory_name());
            ui.label(RichText::new(needs).small().color(colour));
        }
        if !router.stored.is_empty() {
            widgets::caption_ui(ui, router.stored.as_str()).on_hover_text("Precision of the weights as stored");
        }
        if let Some(licence) = &router.licence {
            widgets::caption_ui(ui, format!("Licence: {licence}"));
        }
        if let Some(digest) = &router.digest {
            widgets::caption_ui(ui, format!("SHA-256 {}…", &digest[..digest.len().min(12)])).on_hover_text(digest);
        }
        let id = router.source.to_string();
        // What another device took says nothing of the one that it would run on.
        let speed = [panel.place.device, "server", "gateway"].iter().find_map(|device| panel.remembered.speed(&id, device));
        if let Some((median, count)) = speed {
            widgets::caption_ui(
                ui,
                if median < 1000.0 {
                    format!("{median:.0} ms a decision here")
                } else {
                    format!("{:.1} s a decision here", median / 1000.0)
                },
            )
            .on_hover_text(format!("Median of the last {count}"));
        }
    });
}

/// Draws how a server is asked.
fn limits_ui(ui: &mut Ui, state: &State, router: &ListedRouter, commands: &mut Vec<Command>) {
    let is_chosen = state.router.source.is_same(&router.source);
    // The one in use may have been opened with what the command line said.
    let source = if is_chosen { state.router.source.clone() } else { state.settings.asked(router.source.clone()) };
    let Some(limits) = source.limits() else { return };
    let obstacle = state.router_change_obstacle().filter(|_| is_chosen);
    let mut wanted = limits;
    ui.add_enabled_ui(obstacle.is_none(), |ui| {
        ui.horizontal_wrapped(|ui| {
            let field = |ui: &mut Ui, what: &str, present: u64, choices: &[u64]| {
                widgets::caption_ui(ui, what);
                let name = format!("{what} of {}", router.label);
                number_ui(ui, name, present, choices, obstacle)
            };
            if let Some(requests) = field(ui, "Requests at a time", limits.in_flight as u64, &REQUESTS) {
                wanted.in_flight = usize::try_from(requests).unwrap_or(limits.in_flight);
            }
            if let Some(seconds) = field(ui, "Seconds for an answer", limits.timeout.as_secs_f64().ceil() as u64, &SECONDS) {
                wanted.timeout = Duration::from_secs(seconds);
            }
        });
    });
    if wanted != limits {
        commands.push(Command::Routers(RoutersCommand::SetLimits(source.with_limits(wanted))));
    }
}

/// Draws a choice among numbers and returns the chosen one.
fn number_ui(ui: &mut Ui, name: String, present: u64, choices: &[u64], obstacle: Option<&str>) -> Option<u64> {
    let mut chosen = None;
    let combo = ComboBox::from_id_salt(&name).selected_text(present.to_string()).width(64.0);
    let response = combo.show_ui(ui, |ui| {
        for &choice in choices {
            if ui.selectable_label(choice == present, choice.to_string()).clicked() {
                chosen = Some(choice);
            }
        }
    });
    response.response.accessible_name(name).on_disabled_hover_text(obstacle.unwrap_or_default());
    chosen
}

fn transfer_ui(ui: &mut Ui, router: &ListedRouter, transfer: &Transfer) {
    ui.horizontal(|ui| {
        widgets::progress_ui(ui, Some(transfer.fraction()), 220.0, &format!("Download of {}", router.label));
        let mut words = format!("{}: {} of {}", transfer.stage, bytes_text(transfer.done), bytes_text(transfer.total));
        if let Some(rate) = transfer.rate {
            words += &format!(", {} a second", bytes_text(rate as u64));
        }
        if let Some(left) = transfer.left() {
            words += &format!(", {} left", time_text(left));
        }
        widgets::caption_ui(ui, words);
    });
}

fn time_text(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=89 => format!("{} s", seconds.max(1)),
        90..=5399 => format!("{} min", (seconds + 30) / 60),
        _ => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

/// Draws the terms, which are accepted once.
fn licence_ui(ui: &mut Ui, router: &ListedRouter, plan: &Plan, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let name = if plan.licence.name.is_empty() { "none stated" } else { plan.licence.name.as_str() };
    let top = ui.cursor().min;
    ui.add_space(space::XS);
    ui.label(RichText::new(format!("Licence of {}: {name}. {} to download", plan.repo, bytes_text(plan.bytes()))).color(palette.text));
    if let Some(link) = &plan.licence.link {
        ui.add(Label::new(RichText::new(link).small().color(palette.text_weak)).selectable(true));
    }
    if !plan.licence.text.is_empty() {
        theme::card_frame(palette.field, palette.border).show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            ScrollArea::vertical().id_salt(("licence", &plan.repo)).max_height(180.0).show(ui, |ui| {
                ui.add(Label::new(RichText::new(&plan.licence.text).size(text::SMALL)).wrap().selectable(true));
            });
        });
    }
    ui.horizontal(|ui| {
        let id = plan.id.clone();
        if ui.button("Accept and download").accessible_name(format!("Accept licence of {}", router.label)).clicked() {
            commands.push(Command::Routers(RoutersCommand::Accept(id.clone())));
        }
        if ui.button("Do not download").accessible_name(format!("Decline licence of {}", router.label)).clicked() {
            commands.push(Command::Routers(RoutersCommand::Cancel(id)));
        }
    });
    reveal(ui, egui::Rect::from_min_max(top, ui.min_rect().max), &plan.id);
}

/// Brings a question into view when it appears, once.
fn reveal(ui: &Ui, rect: egui::Rect, id: &str) {
    let drawn = egui::Id::unique(("licence drawn", id));
    let now = ui.ctx().cumulative_pass_nr();
    let before = ui.data_mut(|data| data.get_temp::<u64>(drawn));
    ui.data_mut(|data| data.insert_temp(drawn, now));
    if before.is_none_or(|before| before + 1 < now) {
        ui.scroll_to_rect_animation(rect, Some(egui::Align::Max), egui::style::ScrollAnimation::none());
    }
}
