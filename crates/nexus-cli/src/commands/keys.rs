//! `keys`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use futures::TryStreamExt;
use nexus_client::{Key, KeyUpdate, NewKeyOptions, PrincipalKind, Result, Rights};

use crate::app::App;
use crate::format;
use crate::json;
use crate::location::RemotePath;
use crate::points;
use crate::style::{Paint, Style};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus keys create ci --rights read-write --prefix /builds --expires 30d
  nexus keys create crawler --agent --rights read-only
  nexus keys update KEY_ID --rights read-only
  nexus keys list
  nexus keys revoke KEY_ID")]
pub struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key; it is shown once
    Create(Create),
    /// List all keys, never their secrets
    #[command(alias = "ls")]
    List,
    /// Change a key; what is not named stays
    Update(Update),
    /// End keys at once
    Revoke {
        /// As `nexus keys list` shows them
        #[arg(required = true)]
        key_ids: Vec<String>,
    },
}

#[derive(Args, Debug)]
struct Create {
    /// What to call it
    name: String,
    /// What it may do
    #[arg(long, value_parser = rights())]
    rights: Rights,
    /// Who bears it; its name if not given
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// An agent bears it, not a person
    #[arg(long)]
    agent: bool,
    /// It reaches nothing outside of this path
    #[arg(long, value_name = "PATH")]
    prefix: Option<RemotePath>,
    /// When it ends: a time, or a while from now like 12h or 30d
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
}

#[derive(Args, Debug)]
#[group(id = "change", required = true, multiple = true, args = ["name", "rights", "expires", "never_expires"])]
struct Update {
    /// As `nexus keys list` shows it
    key_id: String,
    /// What to call it
    #[arg(long)]
    name: Option<String>,
    /// What it may do
    #[arg(long, value_parser = rights())]
    rights: Option<Rights>,
    /// When it ends: a time, or a while from now like 12h or 30d
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// It ends no more by itself
    #[arg(long, conflicts_with = "expires")]
    never_expires: bool,
}

impl Keys {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        match self.action {
            Action::Create(create) => create.run(app).await,
            Action::Update(update) => update.run(app).await,
            Action::List => {
                let mut keys = client.keys();
                while let Some(key) = keys.try_next().await? {
                    app.out
                        .show(|| json::key(&key), |style| line(&key, style))?;
                }
                Ok(())
            }
            Action::Revoke { key_ids } => {
                for key_id in key_ids {
                    let key = client.revoke_key(&key_id).await?;
                    app.out
                        .show(|| json::key(&key), |style| line(&key, style))?;
                }
                Ok(())
            }
        }
    }
}

impl Create {
    async fn run(self, app: &mut App) -> Result<()> {
        let expires = self
            .expires
            .as_deref()
            .map(|when| points::moment(when, app.now));
        let options = NewKeyOptions {
            id: self.id.unwrap_or_else(|| self.name.clone()),
            name: self.name,
            kind: if self.agent {
                PrincipalKind::Agent
            } else {
                PrincipalKind::User
            },
            zone: None,
            rights: self.rights,
            prefix: self.prefix.map(|path| path.to_string()),
            expires: expires.transpose()?,
        };
        let client = app.client().await?;
        let made = client.create_key(options).await?;
        app.out.show(
            || {
                let mut value = json::key(&made.key);
                value["secret"] = made.secret.clone().into();
                value
            },
            |style| {
                let id = &made.key.key_id;
                let secret = style.paint(Paint::Strong, &made.secret);
                format!("{secret}\nKept nowhere: store it now. To end it: nexus keys revoke {id}")
            },
        )
    }
}

impl Update {
    async fn run(self, app: &mut App) -> Result<()> {
        let expires = match self.expires {
            Some(when) => Some(Some(points::moment(&when, app.now)?)),
            None => self.never_expires.then_some(None),
        };
        let update = KeyUpdate {
            name: self.name,
            rights: self.rights,
            expires,
        };
        let key = app.client().await?.update_key(&self.key_id, update).await?;
        app.out.show(|| json::key(&key), |style| line(&key, style))
    }
}

fn rights() -> impl TypedValueParser<Value = Rights> {
    const ALL: [Rights; 3] = [Rights::ReadOnly, Rights::ReadWrite, Rights::Admin];
    PossibleValuesParser::new(ALL.map(Rights::as_str)).map(|name| {
        let rights = ALL.into_iter().find(|rights| rights.as_str() == name);
        rights.expect("the parser allows these names only")
    })
}

fn line(key: &Key, style: Style) -> String {
    let principal = format!("{}:{}", key.kind.as_str(), key.id);
    let mut line = format!(
        "{}  {:<16} {principal:<20} {:<10} {}",
        key.key_id,
        format::printable(&key.name),
        key.rights.as_str(),
        format::printable(key.prefix.as_deref().unwrap_or("/")),
    );
    if let Some(expires) = key.expires {
        line += &format!("  expires {}", format::time(expires));
    }
    if let Some(revoked) = key.revoked {
        line += &format!("  revoked {}", format::time(revoked));
        return style.paint(Paint::Faint, &line);
    }
    line
}
