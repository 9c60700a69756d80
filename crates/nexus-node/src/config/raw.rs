//! What was given, and where.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use nexus_kernel::{Error, Result};

use super::settings::{ALL, Setting};

/// Where settings are taken from, weakest first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// The environment; only `NEXUS_*` counts.
    pub environment: Vec<(String, String)>,
    /// Settings from the command line: name, value, and the flag that gave them.
    pub flags: Vec<(String, String, String)>,
}

/// The text of every setting that was given, and by whom. Names are checked, values are not.
#[derive(Clone, Debug, Default)]
pub struct RawConfig {
    given: BTreeMap<&'static str, Given>,
}

#[derive(Clone, Debug)]
struct Given {
    value: String,
    by: String,
}

/// Variables that clients of a node read. A node started in the same shell meets them.
const CLIENT_VARIABLES: [&str; 4] = [
    "NEXUS_URL",
    "NEXUS_API_KEY",
    "NEXUS_KEY_FILE",
    "NEXUS_SESSION",
];
/// Names the configuration file; read by the command line.
const FILE_VARIABLE: &str = "NEXUS_CONFIG";

impl RawConfig {
    /// Reads every source, each over the one before it.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a file that is not TOML and for names that are no settings,
    /// `NotFound` or `Unavailable` for a file that cannot be read.
    pub fn load(sources: Sources) -> Result<Self> {
        let mut raw = Self::default();
        if let Some(file) = &sources.file {
            raw.add_file(file)?;
        }
        for (name, value) in &sources.environment {
            raw.add_variable(name, value)?;
        }
        for (name, value, flag) in &sources.flags {
            raw.set(name, value, flag)?;
        }
        Ok(raw)
    }

    /// Gives one setting a value.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` when there is no setting of that name.
    pub fn set(&mut self, name: &str, value: &str, by: &str) -> Result<()> {
        let setting = ALL.iter().find(|setting| setting.name == name);
        let setting = setting.ok_or_else(|| unknown(name, by))?;
        self.given.insert(
            setting.name,
            Given {
                value: value.to_owned(),
                by: by.to_owned(),
            },
        );
        Ok(())
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(0, |span| text[..span.start].lines().count().max(1));
            Error::invalid(format!(
                "the configuration file is not TOML: {}",
                error.message()
            ))
            .with("file", &shown)
            .with("line", line)
        })?;
        self.add_table("", &table, &shown)
    }

    fn add_table(&mut self, above: &str, table: &toml::Table, file: &str) -> Result<()> {
        for (key, value) in table {
            let name = if above.is_empty() {
                key.clone()
            } else {
                format!("{above}.{key}")
            };
            match value {
                toml::Value::Table(inner) => self.add_table(&name, inner, file)?,
                toml::Value::String(text) => self.set(&name, text, file)?,
                toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
                    self.set(&name, &value.to_string(), file)?;
                }
                toml::Value::Array(_) | toml::Value::Datetime(_) => {
                    return Err(
                        Error::invalid("a setting is one text, number, true or false")
                            .with("setting", name)
                            .with("file", file),
                    );
                }
            }
        }
        Ok(())
    }

    fn add_variable(&mut self, variable: &str, value: &str) -> Result<()> {
        if let Some(setting) = ALL.iter().find(|setting| setting.variable() == variable) {
            return self.set(setting.name, value, variable);
        }
        if !variable.starts_with("NEXUS_") || variable == FILE_VARIABLE || foreign(variable) {
            return Ok(());
        }
        Err(unknown(variable, "the environment"))
    }

    /// The text of a setting and where it comes from.
    pub(super) fn text(&self, setting: &Setting) -> (&str, &str) {
        match self.given.get(setting.name) {
            Some(given) => (&given.value, &given.by),
            None => (setting.default, "default"),
        }
    }

    /// The meaning of a setting.
    pub(super) fn read<T, E: fmt::Display>(
        &self,
        setting: &Setting,
        meaning: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T> {
        let (text, by) = self.text(setting);
        meaning(text).map_err(|why| {
            Error::invalid(why.to_string())
                .with("setting", setting.name)
                .with("value", super::show::mask(text).escape_debug())
                .with("from", by)
        })
    }
}

/// Variables that are not meant for a node: those of clients, and those that Kubernetes
/// gives every container beside a service called `nexus` (`NEXUS_PORT_2026_TCP_ADDR`, …).
fn foreign(variable: &str) -> bool {
    CLIENT_VARIABLES.contains(&variable)
        || variable == "NEXUS_PORT"
        || variable.starts_with("NEXUS_PORT_")
        || variable.starts_with("NEXUS_SERVICE_")
}

fn unknown(name: &str, by: &str) -> Error {
    Error::invalid("there is no such setting; `nexus-node config show` lists them all")
        .with("setting", name.escape_debug())
        .with("from", by)
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let answer = match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::not_found("there is no such configuration file; check --config and NEXUS_CONFIG")
        }
        _ => Error::unavailable("the configuration file cannot be read; check its permissions"),
    };
    answer
        .with("file", path.display())
        .with("cause", &error)
        .because(error)
}
