//! `zone export`.

use std::path::{Path, PathBuf};

use clap::Args;
use nexus_client::{Error, ExportOptions, Result};

use super::part::{Found, Part};
use super::{Checked, cannot};
use crate::app::App;
use crate::transfer::Progress;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus zone export zone.nxz
  nexus zone export zone.nxz --resume
  nexus zone export zone.nxz --secrets     With the hashes of keys

Needs an admin key. Until it is whole and was checked, the archive is FILE.part. After a break
--resume goes on with the contents it has, at the same revision; an archive whose rows were not
complete is begun anew.")]
pub(super) struct Export {
    /// The archive to write
    file: PathBuf,
    /// Go on with an export that was interrupted
    #[arg(short, long)]
    resume: bool,
    /// Replace the archive, or a part of one, if it exists
    #[arg(short, long)]
    force: bool,
    /// With the settings of the zone: a node with the archive takes the same keys
    #[arg(long)]
    secrets: bool,
}

impl Export {
    pub(super) async fn run(self, app: &mut App) -> Result<()> {
        let path = Part::path_of(&self.file);
        self.check_free(&path)?;
        let watch = !app.out.is_json();
        let mut part = Part::open(path).await?;
        let found = match self.resume {
            true => part.inspect().await?,
            false => Found::Nothing,
        };
        let resumed_after = self.complete(app, &mut part, found, watch).await?;
        let checked = Checked::read(&part.path, watch).await?;
        self.publish(&part.path)?;
        checked.show(app, &self.file, resumed_after)
    }

    fn check_free(&self, part: &Path) -> Result<()> {
        if self.force {
            return Ok(());
        }
        if self.file.exists() {
            return Err(
                Error::already_exists("the archive exists; add --force to replace it")
                    .with("file", self.file.display()),
            );
        }
        if part.exists() && !self.resume {
            return Err(Error::already_exists(
                "a part of an archive is there; add --resume to go on with it, or --force to begin anew",
            )
            .with("file", part.display()));
        }
        Ok(())
    }

    /// Writes what is missing; answers how much was there.
    async fn complete(
        &self,
        app: &mut App,
        part: &mut Part,
        found: Found,
        watch: bool,
    ) -> Result<u64> {
        let (after, body) = match found {
            Found::Whole(archived) => return Ok(archived.bytes),
            Found::Rows(archived) => {
                let wanted = part.wanted(&archived).await?;
                let client = app.client().await?;
                (archived.bytes, client.export_rest(&archived, wanted).await?)
            }
            Found::Nothing => {
                let options = ExportOptions {
                    secrets: self.secrets,
                };
                (0, app.client().await?.export_zone(options).await?)
            }
        };
        let bar = Progress::spinner(watch);
        let written = part.write(after, body, &bar).await;
        bar.end();
        written?;
        Ok(after)
    }

    fn publish(&self, part: &Path) -> Result<()> {
        std::fs::rename(part, &self.file)
            .map_err(|error| cannot("could not write the archive", &self.file, &error))
    }
}
