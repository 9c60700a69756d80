//! What the tests need beside cargo, installed into `.tools/`.

use std::path::Path;

use anyhow::{Context, Result};

use crate::ci::can_mount;
use crate::shell::{output, root, run, succeeds};

/// The client that the JSON-RPC door has to satisfy as it is.
const PYTHON_CLIENT: &str = "nexus-fs-python==0.1.4";

const PYTHON_CLIENT_IS_THERE: &str = "import importlib.metadata as m, nexus_client, sys; \
     sys.exit('nexus-fs-python==' + m.version('nexus-fs-python') != sys.argv[1])";

/// Suites for filesystems, which the tests of the mount run.
const SUITES: [(&str, &str); 2] = [("pjdfstest", "0.2.2"), ("fsx", "0.3.2")];

/// Programs that the tests of the mount put to work, called as their Debian packages are.
const PROGRAMS: [&str; 4] = ["make", "npm", "rsync", "strace"];

/// Installs what is missing; what is there already costs one call each.
pub(crate) fn install() -> Result<()> {
    let tools = root().join(".tools");
    std::fs::create_dir_all(&tools).context("could not create .tools")?;
    python_client(&tools.join("python"))
        .with_context(|| format!("{PYTHON_CLIENT} is missing: the JSON-RPC test drives it"))?;
    ripgrep(&tools).context("ripgrep is missing: the tests of grep compare with it")?;
    if can_mount() {
        mount_tools(&tools).context("the tests of the mount need it")?;
    }
    Ok(())
}

fn python_client(venv: &Path) -> Result<()> {
    let python = venv.join("bin/python");
    if succeeds(&python, ["-c", PYTHON_CLIENT_IS_THERE, PYTHON_CLIENT]) {
        println!("{PYTHON_CLIENT}: there");
        return Ok(());
    }
    println!("{PYTHON_CLIENT}: installing into .tools/python");
    if !succeeds(&python, ["-m", "pip", "--version"]) {
        create_venv(venv)?;
    }
    run(
        &python,
        [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            PYTHON_CLIENT,
        ],
    )
    .context("pip could not install it; is the package index reachable?")
}

fn create_venv(venv: &Path) -> Result<()> {
    let create = || {
        run(
            "python3",
            [
                Path::new("-m"),
                Path::new("venv"),
                Path::new("--clear"),
                venv,
            ],
        )
    };
    // Debian's python3 comes without the module that makes environments.
    create()
        .or_else(|_| apt_install("python3-venv").and_then(|()| create()))
        .context(
            "python3 -m venv failed; install Python 3 with its venv module \
         (Debian: apt-get install python3 python3-venv) and run `cargo xtask setup` again",
        )
}

fn ripgrep(tools: &Path) -> Result<()> {
    if succeeds(tools.join("bin/rg"), ["--version"]) || succeeds("rg", ["--version"]) {
        println!("ripgrep: there");
        return Ok(());
    }
    println!("ripgrep: installing");
    apt_install("ripgrep")
        .or_else(|_| cargo_install(tools, &["ripgrep@15.2.0"]))
        .context(
            "neither apt-get nor cargo could install it; put `rg` on the PATH and run \
         `cargo xtask setup` again",
        )
}

fn mount_tools(tools: &Path) -> Result<()> {
    for (name, version) in SUITES {
        suite(tools, name, version).with_context(|| {
            format!("cargo could not install {name} {version}; is the registry reachable?")
        })?;
    }
    for program in PROGRAMS {
        installed_program(program).with_context(|| {
            format!("apt-get could not install it; put `{program}` on the PATH and run `cargo xtask setup` again")
        })?;
    }
    Ok(())
}

fn suite(tools: &Path, name: &str, version: &str) -> Result<()> {
    let program = tools.join("bin").join(name);
    let is_there = succeeds(&program, ["--version"])
        && output(&program, ["--version"])?.trim() == format!("{name} {version}");
    if is_there {
        println!("{name} {version}: there");
        return Ok(());
    }
    println!("{name} {version}: installing into .tools");
    // It runs for seconds; compiling it to run fast would take minutes.
    cargo_install(tools, &["--debug", &format!("{name}@{version}")])
}

fn installed_program(name: &str) -> Result<()> {
    if succeeds(name, ["--version"]) {
        println!("{name}: there");
        return Ok(());
    }
    println!("{name}: installing");
    apt_install(name)
}

fn apt_install(package: &str) -> Result<()> {
    let install = ["install", "--no-install-recommends", "--yes", package];
    // The lists of a fresh machine may be empty or old; fetching them is the slow part.
    apt(&install).or_else(|_| apt(&["update"]).and_then(|()| apt(&install)))
}

/// Without root, only where sudo asks for no password: a test run must not wait for a person.
fn apt(arguments: &[&str]) -> Result<()> {
    let apt = [
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-qq",
        "-o=Dpkg::Use-Pty=0",
    ];
    let sudo = ["sudo", "-n"];
    let is_root = output("id", ["-u"])?.trim() == "0";
    let prefix = if is_root { &[][..] } else { &sudo[..] };
    let line: Vec<&str> = [prefix, &apt, arguments].concat();
    run(line[0], &line[1..])
}

fn cargo_install(tools: &Path, what: &[&str]) -> Result<()> {
    let arguments = ["install", "--quiet", "--locked"].iter().chain(what);
    let into = [Path::new("--root"), tools];
    run("cargo", arguments.map(Path::new).chain(into))
}
