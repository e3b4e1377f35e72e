//! Gives egui the fonts, the sizes and the colours of the module `tokens`.

use std::sync::Arc;

use egui::epaint::Shadow;
use egui::epaint::text::VariationCoords;
use egui::{
    Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, FontTweak, Margin, Stroke, Style, TextStyle, Theme, Vec2,
};

use super::tokens::{self, Palette, space, text};

/// Sets up fonts and both themes; called once before the first frame.
pub fn apply(ctx: &Context) {
    ctx.set_fonts(fonts());
    for theme in [Theme::Light, Theme::Dark] {
        ctx.style_mut_of(theme, |style| restyle(style, tokens::palette(theme == Theme::Dark)));
    }
}

/// Inter for text, in two weights of one variable font; egui's own fonts stay behind it for signs and emoji that Inter lacks.
fn fonts() -> FontDefinitions {
    const INTER: &[u8] = include_bytes!("../../assets/fonts/Inter.ttf");
    let mut fonts = FontDefinitions::default();
    let of = |family: FontFamily| fonts.families.get(&family).into_iter().flatten().cloned();
    // Behind the one for text those of the monospace family: Hack has signs, arrows among them, that users paste, and emoji come last.
    let fallbacks: Vec<String> = of(FontFamily::Proportional).take(1).chain(of(FontFamily::Monospace)).collect();
    for (name, weight, family) in [("Inter", 420.0, FontFamily::Proportional), ("Inter semibold", 620.0, tokens::semibold())] {
        let tweak = FontTweak { coords: VariationCoords::new([(b"wght", weight)]), ..FontTweak::default() };
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(INTER).tweak(tweak)));
        let chain = std::iter::once(name.to_owned()).chain(fallbacks.iter().cloned()).collect();
        fonts.families.insert(family, chain);
    }
    fonts
}

fn restyle(style: &mut Style, palette: &Palette) {
    style.text_styles = [
        (TextStyle::Small, FontId::new(text::SMALL, FontFamily::Proportional)),
        (TextStyle::Body, FontId::new(text::BODY, FontFamily::Proportional)),
        (TextStyle::Button, FontId::new(text::BODY, FontFamily::Proportional)),
        (TextStyle::Heading, tokens::strong_font(text::HEADING)),
        (TextStyle::Monospace, FontId::new(text::MONO, FontFamily::Monospace)),
    ]
    .into();

    let spacing = &mut style.spacing;
    spacing.item_spacing = Vec2::new(space::S, space::S);
    spacing.button_padding = Vec2::new(space::M, space::XS);
    spacing.menu_margin = Margin::same(space::XS as i8);
    spacing.window_margin = Margin::same(space::L as i8);
    spacing.interact_size = Vec2::new(space::XL, tokens::CONTROL_HEIGHT);
    spacing.extra_text_line_spacing = 2.0;
    spacing.tooltip_width = 360.0;
    spacing.combo_width = 96.0;
    spacing.scroll = egui::style::ScrollStyle::solid();
    spacing.scroll.bar_width = 8.0;
    spacing.scroll.bar_inner_margin = space::XS;
    spacing.scroll.bar_outer_margin = 0.0;

    style.interaction.tooltip_delay = 0.4;
    style.interaction.selectable_labels = false;
    style.animation_time = 0.08;
    recolour(style, palette);
}

fn recolour(style: &mut Style, palette: &Palette) {
    let radius = CornerRadius::same(tokens::RADIUS);
    let visuals = &mut style.visuals;
    visuals.panel_fill = palette.surface;
    visuals.window_fill = palette.surface;
    visuals.window_stroke = Stroke::new(1.0, palette.border_strong);
    visuals.window_corner_radius = CornerRadius::same(tokens::CARD_RADIUS);
    visuals.menu_corner_radius = CornerRadius::same(tokens::CARD_RADIUS);
    let shadow = Shadow { offset: [0, 6], blur: 20, spread: 0, color: palette.shadow };
    visuals.window_shadow = shadow;
    visuals.popup_shadow = shadow;
    visuals.extreme_bg_color = palette.field;
    visuals.text_edit_bg_color = Some(palette.field);
    visuals.faint_bg_color = palette.raised;
    visuals.code_bg_color = palette.raised;
    visuals.weak_text_color = Some(palette.text_weak);
    visuals.hyperlink_color = palette.accent;
    visuals.warn_fg_color = palette.warning;
    visuals.error_fg_color = palette.error;
    visuals.selection.bg_fill = palette.accent.gamma_multiply(0.28);
    visuals.selection.stroke = Stroke::new(1.5, palette.accent);
    visuals.text_cursor.stroke = Stroke::new(2.0, palette.accent);
    visuals.striped = false;

    let widgets = &mut visuals.widgets;
    for (widget, fill, border, colour) in [
        (&mut widgets.noninteractive, palette.surface, palette.border, palette.text),
        (&mut widgets.inactive, palette.surface, palette.border_strong, palette.text),
        (&mut widgets.hovered, palette.raised, palette.border_strong, palette.text),
        (&mut widgets.active, palette.raised, palette.accent, palette.text),
        (&mut widgets.open, palette.raised, palette.border_strong, palette.text),
    ] {
        widget.bg_fill = if fill == palette.surface { palette.raised } else { fill };
        widget.weak_bg_fill = fill;
        widget.bg_stroke = Stroke::new(1.0, border);
        widget.fg_stroke = Stroke::new(1.0, colour);
        widget.corner_radius = radius;
        widget.expansion = 0.0;
    }
}

/// Returns the colours of the theme that `ui` is drawn in.
pub fn palette(ui: &egui::Ui) -> &'static Palette {
    tokens::palette(ui.visuals().dark_mode)
}

/// Returns the frame of a column: its own ground, generous margins, no line around it.
pub fn column_frame(fill: Color32) -> egui::Frame {
    egui::Frame::new().fill(fill).inner_margin(Margin::symmetric(space::L as i8, space::M as i8))
}

/// Returns the frame of a card that stands on a column.
pub fn card_frame(fill: Color32, border: Color32) -> egui::Frame {
    egui::Frame::new()
        .fill(fill)
        .stroke(Stroke::new(1.0, border))
        .corner_radius(CornerRadius::same(tokens::CARD_RADIUS))
        .inner_margin(Margin::same(space::M as i8))
}

/// Returns the frame of a bar along an edge of the window.
pub fn bar_frame(fill: Color32) -> egui::Frame {
    egui::Frame::new().fill(fill).inner_margin(Margin::symmetric(space::L as i8, space::S as i8))
}

#[cfg(test)]
mod tests {
    use egui::epaint::text::{Fonts, TextOptions};
    use egui::{Color32, FontFamily, FontId};

    use crate::ui::tokens;

    #[test]
    fn emoji_are_drawn_and_what_no_font_has_is_a_box() {
        let mut fonts = Fonts::new(TextOptions::default(), super::fonts());
        let mut view = fonts.with_pixels_per_point(1.0);
        for family in [FontFamily::Proportional, tokens::semibold(), FontFamily::Monospace] {
            let font = FontId::new(14.0, family);
            assert!(view.has_glyph(&font, '\u{1f600}'), "{font:?}");
            assert!(!view.has_glyph(&font, '\u{1780}'), "a letter of the Khmer script, in {font:?}");
            let galley = view.layout_no_wrap("\u{1780}".to_owned(), font, Color32::WHITE);
            assert!(!galley.rows[0].row.glyphs[0].uv_rect.is_nothing());
        }
    }
}
