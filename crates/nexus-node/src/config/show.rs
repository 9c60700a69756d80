//! The configuration in effect, for people and for programs.

use serde_json::{Value, json};

use super::RawConfig;
use super::settings::ALL;

impl RawConfig {
    /// Every setting with what it is for, its value in effect and its source, as a TOML file
    /// that can be edited and used. Passwords are masked.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        for setting in ALL {
            let (value, by) = self.text(setting);
            let value = toml::Value::String(mask(value));
            let (name, doc, variable) = (setting.name, setting.doc, setting.variable());
            out += &format!("# {doc}\n# {variable}; from: {by}\n{name} = {value}\n\n");
        }
        out
    }

    /// The same as a JSON array.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let row = |setting: &&super::settings::Setting| {
            let (value, by) = self.text(setting);
            json!({
                "name": setting.name,
                "value": mask(value),
                "source": by,
                "default": setting.default,
                "variable": setting.variable(),
                "about": setting.doc,
            })
        };
        ALL.iter().map(row).collect()
    }
}

/// Hides the password of a URI: `s3://id:secret@host` becomes `s3://id:***@host`.
pub(super) fn mask(text: &str) -> String {
    let masked = text.split_once("://").and_then(|(scheme, rest)| {
        let (login, place) = rest.rsplit_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{place}"))
    });
    masked.unwrap_or_else(|| text.to_owned())
}
