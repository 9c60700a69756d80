//! What a program has made durable on a mount is there after the program is killed, and after the
//! node is: at moments that follow from a seed and are in the middle of something. A rename that
//! takes a file's place, an append and a removal are there or not, and never half; but the kernel
//! ends the write of a process that is killed between two pages, as on every filesystem. And
//! whoever uses a mount whose node is gone is told so at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use nexus_tests::{Home, Mounted, Process, Random, WAIT_MAX};

const ROUNDS: usize = 6;
const WRITERS: usize = 3;
const PAGE: usize = 4096;

/// The number and the length of a content; nothing where there is no file.
type State = Option<(u64, usize)>;

/// What is known of a file.
#[derive(Clone, Debug)]
enum Known {
    Is(State),
    Either(State, State),
    /// It was this, and the rest of a content is being appended.
    Grows(State, u64, usize),
    Open,
}

/// Who was killed.
#[derive(Clone, Copy)]
enum Killed {
    Writer,
    Node,
}

/// A process that writes to a folder of its own, and what has to be in the folder.
struct Writer {
    folder: String,
    files: BTreeMap<String, Known>,
}

impl Writer {
    fn new(number: usize) -> Self {
        Self {
            folder: format!("writer-{number}"),
            files: BTreeMap::new(),
        }
    }

    fn start(&self, mounted: &Mounted, seed: u64) -> Process {
        let mut python = Command::new("python3");
        python.args(["-c", include_str!("kills/writer.py")]);
        python.arg(mounted.path(&self.folder)).arg(seed.to_string());
        Process::start(&mut python)
    }

    /// Takes in what it said.
    fn learn(&mut self, said: &str) {
        for line in said.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let (name, known) = match words[..] {
                ["is", name] => (name, Known::Is(None)),
                ["is", name, number, length] => (name, Known::Is(state(number, length))),
                ["may", name] => (name, Known::Either(self.settled(name), None)),
                ["may", name, number, length] => {
                    let next = state(number, length);
                    (name, Known::Either(self.settled(name), next))
                }
                ["grows", name, number, length] => {
                    let (number, length) = state(number, length).expect("two numbers");
                    (name, Known::Grows(self.settled(name), number, length))
                }
                ["open", name] => (name, Known::Open),
                // Why it ended.
                _ => continue,
            };
            self.files.insert(name.to_owned(), known);
        }
    }

    fn settled(&self, name: &str) -> State {
        match self.files.get(name) {
            None => None,
            Some(Known::Is(state)) => *state,
            Some(pending) => panic!("{name} is {pending:?} before the next change"),
        }
    }

    /// Compares, and goes on from what there is.
    #[track_caller]
    fn check(&mut self, mounted: &Mounted, killed: Killed, seed: u64) {
        let folder = mounted.path(&self.folder);
        for (name, known) in &mut self.files {
            let path = folder.join(name);
            let allowed = match known {
                Known::Is(state) => vec![*state],
                Known::Either(before, after) => vec![*before, *after],
                Known::Grows(before, number, length) => grown(*before, *number, *length, killed),
                Known::Open => {
                    let _ = fs::remove_file(&path);
                    vec![None]
                }
            };
            let found = allowed.iter().find(|state| holds(&path, **state));
            let found = found.unwrap_or_else(|| {
                let length = fs::metadata(&path).map(|file| file.len());
                panic!("seed {seed}: {name} is not {allowed:?}: {length:?}")
            });
            *known = Known::Is(*found);
        }
    }
}

fn state(number: &str, length: &str) -> State {
    Some((number.parse().ok()?, length.parse().ok()?))
}

/// What an append may have left.
fn grown(before: State, number: u64, length: usize, killed: Killed) -> Vec<State> {
    let mut allowed = vec![before, Some((number, length))];
    if let (Killed::Writer, Some((_, from))) = (killed, before) {
        let pages = (from + 1..length).filter(|at| at % PAGE == 0);
        allowed.extend(pages.map(|at| Some((number, at))));
    }
    allowed
}

fn holds(path: &Path, state: State) -> bool {
    match (fs::read(path), state) {
        (Ok(found), Some((number, length))) => {
            let piece = format!("{number} ");
            found.len() == length && piece.bytes().cycle().zip(&found).all(|(a, b)| a == *b)
        }
        (Err(error), None) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

fn writers() -> Vec<Writer> {
    (0..WRITERS).map(Writer::new).collect()
}

/// All of them at work, the first of them for a while.
fn at_work(writers: &[Writer], mounted: &Mounted, moments: &mut Random) -> Vec<Process> {
    let working = writers.iter();
    let working = working.map(|writer| writer.start(mounted, moments.number()));
    let working: Vec<_> = working.collect();
    let lines = 20 + moments.below(60);
    working[0].wait_for_log("enough", WAIT_MAX, |said| {
        (said.len() >= lines).then_some(())
    });
    working
}

#[track_caller]
fn check_all(writers: &mut [Writer], mounted: &Mounted, killed: Killed, seed: u64) {
    for writer in writers {
        writer.check(mounted, killed, seed);
    }
}

/// Nothing in the stores contradicts anything else.
#[track_caller]
fn verify(home: &Home) {
    let node = home.start();
    let said = node.cli().ok(["verify"]);
    assert!(said.contains("all is well"), "{said}");
    assert!(node.stop().success());
}

#[test]
fn what_was_synced_is_there_after_the_writer_was_killed() {
    const SEED: u64 = 31;
    let (home, mut moments, mut writers) = (Home::new(), Random::new(SEED), writers());
    let mut mounted = home.mount();
    for round in 0..ROUNDS {
        let working = at_work(&writers, &mounted, &mut moments);
        for (writer, working) in writers.iter_mut().zip(working) {
            writer.learn(&working.kill_for_last_words());
        }
        check_all(&mut writers, &mounted, Killed::Writer, SEED);
        if round % 3 == 2 {
            mounted.unmount();
            mounted = home.mount();
            check_all(&mut writers, &mounted, Killed::Writer, SEED);
        }
    }
    mounted.unmount();
    verify(&home);
}

#[test]
fn what_was_synced_is_there_after_the_node_was_killed() {
    const SEED: u64 = 32;
    let (home, mut moments, mut writers) = (Home::new(), Random::new(SEED), writers());
    for _ in 0..ROUNDS {
        let mounted = home.mount();
        check_all(&mut writers, &mounted, Killed::Node, SEED);
        let working = at_work(&writers, &mounted, &mut moments);
        mounted.kill();
        for (writer, working) in writers.iter_mut().zip(working) {
            let said = working.wait_for_last_words(WAIT_MAX);
            assert!(said.contains("[Errno "), "{said}");
            writer.learn(&said);
        }
    }
    let mounted = home.mount();
    check_all(&mut writers, &mounted, Killed::Node, SEED);
    mounted.unmount();
    verify(&home);
}
