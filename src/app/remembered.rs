//! What is known about routers from start to start, for the window and the command line alike: accepted licences, and speeds measured here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::store::write_atomically;
use crate::decision::RouterInfo;
use crate::engine::Licence;
use crate::formats::sha256;

/// Decisions that the median is taken of, the newest ones.
const KEPT: usize = 31;

/// Where Waypost keeps what is the user's but no document: `waypost` in the system's folder for the data of programs. The window and the command
/// line have it from here. A test compares it with the folder that eframe would take, where the first versions kept all of it.
pub fn data_folder() -> Option<PathBuf> {
    let folder = dirs::data_dir()?.join("waypost");
    Some(if cfg!(windows) { folder.join("data") } else { folder })
}

/// The file `routers.json` of the data folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// SHA-256 of the licence that was accepted, by repository.
    licences: BTreeMap<String, String>,
    /// Milliseconds of decisions, the newest last, by router and device.
    speeds: BTreeMap<String, Vec<f64>>,
}

impl Remembered {
    /// Reads what is remembered; a damaged file is as good as none.
    pub fn read(folder: &Path) -> Self {
        std::fs::read(file(folder)).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
    }

    /// Reads, changes and writes, so that what another process wrote meanwhile is kept.
    ///
    /// # Errors
    /// Fails with a sentence where the file cannot be written.
    pub fn change(folder: &Path, change: impl FnOnce(&mut Self)) -> Result<(), String> {
        let mut remembered = Self::read(folder);
        change(&mut remembered);
        let path = file(folder);
        let json = serde_json::to_vec_pretty(&remembered).map_err(|error| error.to_string())?;
        let written = std::fs::create_dir_all(folder).and_then(|()| write_atomically(&path, &json));
        written.map_err(|error| format!("{} could not be written ({error})", path.display()))
    }

    /// Returns whether the user accepted these very terms before.
    pub fn is_accepted(&self, repo: &str, licence: &Licence) -> bool {
        self.licences.get(repo) == Some(&digest(licence))
    }

    /// Notes that the user accepted the terms of a repository.
    pub fn accept(&mut self, repo: &str, licence: &Licence) {
        self.licences.insert(repo.to_owned(), digest(licence));
    }

    /// Notes how long a decision took.
    pub fn add_speed(&mut self, router: &RouterInfo, milliseconds: f64) {
        self.append(key(&router.id, &router.device), &[milliseconds]);
    }

    /// Notes the speeds of another too, all of which are newer.
    pub fn append_speeds(&mut self, newer: &Self) {
        newer.speeds.iter().for_each(|(key, speeds)| self.append(key.clone(), speeds));
    }

    fn append(&mut self, key: String, newer: &[f64]) {
        let speeds = self.speeds.entry(key).or_default();
        speeds.extend(newer);
        let surplus = speeds.len().saturating_sub(KEPT);
        speeds.drain(..surplus);
    }

    /// Returns the median of the newest decisions in milliseconds, and how many they are.
    pub fn speed(&self, id: &str, device: &str) -> Option<(f64, usize)> {
        let mut speeds = self.speeds.get(&key(id, device))?.clone();
        speeds.sort_by(f64::total_cmp);
        speeds.get(speeds.len() / 2).map(|median| (*median, speeds.len()))
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("routers.json")
}

fn key(id: &str, device: &str) -> String {
    format!("{id} on {device}")
}

/// Terms that change are other terms.
fn digest(licence: &Licence) -> String {
    sha256(format!("{}\n{}", licence.name, licence.text))
}
