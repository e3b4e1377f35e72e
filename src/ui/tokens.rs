//! The design tokens: every size, distance and colour of the window, with the meaning it stands for. Nothing else names a colour.
//!
//! Colours carry meaning together with a word, never alone, and the pairs that must be told apart (chosen and not chosen, clear and close)
//! differ in lightness and in blue against yellow, which the common kinds of colour blindness keep apart.

use egui::{Color32, FontFamily, FontId};

/// The type scale.
pub mod text {
    /// Numbers beside bars, hints, captions.
    pub const SMALL: f32 = 12.0;
    /// Everything that is read or written.
    pub const BODY: f32 = 14.0;
    /// Code and raw answers; Hack looks larger than Inter of the same size.
    pub const MONO: f32 = 12.5;
    /// Titles of panels.
    pub const HEADING: f32 = 15.0;
    /// The one thing a panel is about, for example the chosen route.
    pub const DISPLAY: f32 = 22.0;
}

/// The spacing scale, in points.
pub mod space {
    pub const XS: f32 = 4.0;
    pub const S: f32 = 8.0;
    pub const M: f32 = 12.0;
    pub const L: f32 = 16.0;
    pub const XL: f32 = 24.0;
}

/// Corners of fields and buttons.
pub const RADIUS: u8 = 6;
/// Corners of cards and windows.
pub const CARD_RADIUS: u8 = 8;
/// Height of buttons and fields; large enough to hit.
pub const CONTROL_HEIGHT: f32 = 28.0;

/// The family of titles and of what is chosen.
pub fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// Returns the font of titles and of what is chosen, in one of the sizes of [`text`].
pub fn strong_font(size: f32) -> FontId {
    FontId::new(size, semibold())
}

/// The colours of one theme, by meaning.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    /// Behind everything.
    pub canvas: Color32,
    /// Panels and cards.
    pub surface: Color32,
    /// Fields, where text is written.
    pub field: Color32,
    /// What the pointer or the selection is on.
    pub raised: Color32,
    pub border: Color32,
    pub border_strong: Color32,
    pub text: Color32,
    pub text_weak: Color32,
    /// The primary action and the chosen answer.
    pub accent: Color32,
    pub accent_hover: Color32,
    pub on_accent: Color32,
    pub accent_soft: Color32,
    /// Bars of answers that were not chosen.
    pub bar: Color32,
    pub bar_track: Color32,
    pub good: Color32,
    pub good_soft: Color32,
    pub warning: Color32,
    pub warning_soft: Color32,
    pub error: Color32,
    pub error_soft: Color32,
    pub shadow: Color32,
}

/// Returns the colours of the dark or the light theme.
pub fn palette(dark: bool) -> &'static Palette {
    if dark { &DARK } else { &LIGHT }
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

const LIGHT: Palette = Palette {
    canvas: rgb(0xf3_f5f8),
    surface: rgb(0xff_ffff),
    field: rgb(0xff_ffff),
    raised: rgb(0xee_f1f5),
    border: rgb(0xe0_e5ec),
    border_strong: rgb(0xc3_ccd8),
    text: rgb(0x1a_2330),
    text_weak: rgb(0x5a_6677),
    accent: rgb(0x1f_5fd6),
    accent_hover: rgb(0x1a_50b6),
    on_accent: rgb(0xff_ffff),
    accent_soft: rgb(0xe7_effd),
    bar: rgb(0x9a_a7b8),
    bar_track: rgb(0xee_f1f5),
    good: rgb(0x0b_6e5c),
    good_soft: rgb(0xe0_f4ee),
    warning: rgb(0x8a_4b00),
    warning_soft: rgb(0xfe_f0d9),
    error: rgb(0xa8_1e2d),
    error_soft: rgb(0xfd_ebed),
    shadow: Color32::from_black_alpha(28),
};

const DARK: Palette = Palette {
    canvas: rgb(0x11_151b),
    surface: rgb(0x18_1d25),
    field: rgb(0x11_151b),
    raised: rgb(0x23_2a34),
    border: rgb(0x29_313d),
    border_strong: rgb(0x3d_4858),
    text: rgb(0xe6_ebf2),
    text_weak: rgb(0x98_a5b6),
    accent: rgb(0x6f_a3ff),
    accent_hover: rgb(0x8f_b8ff),
    on_accent: rgb(0x0a_1526),
    accent_soft: rgb(0x1a_2a47),
    bar: rgb(0x5b_687a),
    bar_track: rgb(0x23_2a34),
    good: rgb(0x5c_cdb0),
    good_soft: rgb(0x12_332c),
    warning: rgb(0xf2_b75c),
    warning_soft: rgb(0x36_2912),
    error: rgb(0xff_9199),
    error_soft: rgb(0x3b_1b20),
    shadow: Color32::from_black_alpha(120),
};
