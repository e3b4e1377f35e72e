//! The workbench without its window: state, the commands that change it, the table of user actions and the reactions to engine events.
//!
//! [`App`] owns the [`State`] and the engine thread. Whoever draws reads the state and sends [`Command`]s; nothing here knows how it is drawn,
//! so all of it can be tested without a window. `App` is one type in several files, by concern: `session` starts it and dispatches
//! commands, `edits` changes documents, `routing` asks the router, `reaction` takes the answers, `files`, `stamp` and `store` read and write,
//! `closing` asks before something is lost; `sets`, `labelling`, `labels`, `measuring`, `looking`, `keeping` and `comparing` are the work
//! of the tabs Batch and Compare, `tasks` their threads.

mod action;
mod batch;
mod carried;
mod case_query;
mod causes;
mod checks;
mod clock;
mod closing;
mod command;
mod compare;
mod comparing;
mod document;
mod downloads;
mod draft;
mod edits;
mod export;
mod export_made;
mod files;
mod gateway_import;
mod import;
mod keeping;
mod labelling;
mod labels;
mod library;
mod log;
mod looking;
pub mod measure;
mod measuring;
mod opened_case;
mod policy_text;
mod reaction;
mod remembered;
mod replace;
mod router;
mod routers;
mod routing;
mod run_change;
mod run_view;
mod sample;
mod save_form;
mod session;
mod sets;
mod settings;
mod shown;
mod small_changes;
mod stamp;
mod state;
mod store;
mod study;
mod tasks;
mod word_diff;

pub use crate::engine::{
    CacheStats, DeviceChoice, JobId, ListedRouter, Loader, Plan, Presence, Progress, RouterDescription, RouterSource, Secret,
};
pub use action::{Action, Menu};
pub use batch::{Batch, BatchCommand, BatchPart, Figure, Labelling, Measuring, OpenCase, SampleSet};
pub use carried::{CarriedFile, unpack_router};
pub use case_query::{CaseQuery, SortBy, Verdict};
pub use checks::{CheckCommand, Checks};
pub use command::{Answer, Command};
pub use compare::{CaseRow, Compare, CompareCommand, ComparePart, ComparisonView, Contender, PolicyStep};
pub use document::{DocId, Document, FileStamp};
pub use downloads::{Download, DownloadPhase, Transfer};
pub use export::{ExportCommand, ExportKey, ExportState, IntoFile};
pub use export_made::{Change, Made, MadeText};
pub use files::proposed_name;
pub use gateway_import::GatewayImport;
pub use import::{Import, ImportSource, LARGE_TEXT};
pub use library::{KeptRun, Library, RunId};
pub use log::{Entry, Log, Severity};
pub use opened_case::OpenedCase;
pub use policy_text::{OutlineRow, PolicyText};
pub use remembered::{Remembered, data_folder};
pub use replace::replace_file;
pub use router::{Job, JobKind, Purpose, RouterPhase, RouterStatus};
pub use routers::{Caches, OpenHub, RouterPanel, RoutersCommand, ServerLimits};
pub use run_view::RunView;
pub use sample::{SAMPLES, Sample};
pub use session::{App, StartOptions, ZOOM_RANGE};
pub use sets::{AddToSet, OpenSet, Opening};
pub use settings::{Settings, Tab, ThemeChoice};
pub use shown::{FailedDecision, ShownDecision};
pub use state::{Dialog, Question, Reveal, Section, Side, State, Target};
pub use store::{DRAFTS, named_routers};
pub use study::{Study, StudyKind, StudyRow, Subject};
pub use word_diff::Piece;
