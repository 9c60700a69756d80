//! Rules about the shape of a crate.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::layers::REFERENCE_DRIVER;
use super::{Finding, Tree};
use crate::shell::{output, root};

/// One package of the workspace, as `cargo metadata` tells it.
#[derive(Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    /// From the root, once [`workspace_packages`] has read it.
    pub(super) manifest_path: String,
    pub(super) dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    #[serde(default)]
    pub(super) kind: Kind,
}

/// What a dependency is for; `cargo metadata` writes a normal one as null.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Normal,
    Dev,
    Build,
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<&str>::deserialize(deserializer)? {
            None => Ok(Self::Normal),
            Some("dev") => Ok(Self::Dev),
            Some("build") => Ok(Self::Build),
            Some(other) => Err(serde::de::Error::unknown_variant(other, &["dev", "build"])),
        }
    }
}

/// The packages of this workspace.
pub(super) fn workspace_packages() -> Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let json = output("cargo", ["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Metadata =
        serde_json::from_str(&json).context("could not read what cargo metadata says")?;
    let root = root();
    let relative = |mut package: Package| -> Result<Package> {
        let path = std::path::Path::new(&package.manifest_path).strip_prefix(&root)?;
        package.manifest_path = path.to_str().context("a path is not UTF-8")?.to_owned();
        Ok(package)
    };
    metadata.packages.into_iter().map(relative).collect()
}

/// What is wrong with the shape of this package.
pub(super) fn findings(package: &Package, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(folder(package));
    findings.extend(lints(package, tree));
    findings.extend(driver_files(package, tree));
    findings
}

fn folder(package: &Package) -> Option<Finding> {
    let expected = match package.name.as_str() {
        "xtask" => "xtask/Cargo.toml".to_owned(),
        "nexus-tests" => "tests/Cargo.toml".to_owned(),
        "nexus-bench" => "tests/bench/Cargo.toml".to_owned(),
        name => format!("crates/{name}/Cargo.toml"),
    };
    (package.manifest_path != expected).then(|| {
        let message = format!("this package belongs in {expected}: a folder has its crate's name");
        Finding::in_file(&package.manifest_path, message)
    })
}

fn lints(package: &Package, tree: &Tree) -> Option<Finding> {
    let manifest = tree
        .file(&package.manifest_path)?
        .text
        .parse::<toml::Table>()
        .ok()?;
    let inherited = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace")?.as_bool());
    (inherited != Some(true)).then(|| {
        let message = "add `[lints]` with `workspace = true`: one set of lints holds everywhere";
        Finding::in_file(&package.manifest_path, message)
    })
}

fn driver_files(package: &Package, tree: &Tree) -> Vec<Finding> {
    // The reference holds one driver of each kind, with nothing to configure and nothing that fails.
    if !package.name.starts_with("nexus-driver-") || package.name == REFERENCE_DRIVER {
        return Vec::new();
    }
    ["lib.rs", "config.rs", "driver.rs", "error.rs", "tests.rs"]
        .iter()
        .map(|file| format!("crates/{}/src/{file}", package.name))
        .filter(|path| !tree.has(path))
        .map(|path| {
            let message = format!(
                "{path} is missing: every driver has the same files, so that who knows one finds \
                 their way in all"
            );
            Finding::in_file(&package.manifest_path, message)
        })
        .collect()
}

#[cfg(test)]
mod tests;
