//! A child process whose output can be waited for.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything here is waited for. Far above what any step takes, for machines under load.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// A running program, killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
}

impl Process {
    /// Starts a program and collects what it prints on both of its outputs.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {name}: {error}"));
        let output = Arc::new(Output::default());
        output.collect(child.stdout.take().expect("it is piped"));
        output.collect(child.stderr.take().expect("it is piped"));
        Self {
            name,
            child,
            output,
        }
    }

    /// Waits until `found` finds something in a line of output, past or to come.
    #[track_caller]
    pub fn wait_for_line<T>(
        &self,
        what: &str,
        wait: Duration,
        found: impl Fn(&str) -> Option<T>,
    ) -> T {
        self.wait_for_log(what, wait, |said| said.iter().find_map(|line| found(line)))
    }

    /// Waits until `found` finds something in all that was said so far.
    #[track_caller]
    pub fn wait_for_log<T>(
        &self,
        what: &str,
        wait: Duration,
        found: impl Fn(&[String]) -> Option<T>,
    ) -> T {
        let lines = self.output.wait_until(wait, |lines| {
            lines.is_over() || found(&lines.said).is_some()
        });
        match found(&lines.said) {
            Some(value) => value,
            None if lines.is_over() => panic!("{} ended without {what}; {lines}", self.name),
            None => panic!("{} has not said {what} in {wait:?}; {lines}", self.name),
        }
    }

    /// Everything said so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.output.lines().said.join("\n")
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a loss of power would: SIGKILL. When this returns it is gone.
    #[track_caller]
    pub fn kill(mut self) {
        self.child
            .kill()
            .expect("a child that was not waited for can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Asks it to end, with SIGTERM, and waits for that.
    #[track_caller]
    pub fn terminate(self) -> ExitStatus {
        self.ask_to_end();
        self.wait_for_end(WAIT_MAX)
    }

    /// Asks it to end, with SIGTERM, and does not wait.
    #[track_caller]
    pub fn ask_to_end(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("a child that was not waited for can be signalled");
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn wait_for_end(mut self, wait: Duration) -> ExitStatus {
        self.end_in(wait)
    }

    /// Waits until it has ended by itself, and well; answers all that it said.
    #[track_caller]
    pub fn wait_for_success(mut self, wait: Duration) -> String {
        let status = self.end_in(wait);
        let said = self.log();
        assert!(status.success(), "{}: {status}\n{said}", self.name);
        said
    }

    /// Waits until it has ended by itself, however it did; answers all that it said.
    #[track_caller]
    pub fn wait_for_last_words(mut self, wait: Duration) -> String {
        self.end_in(wait);
        self.log()
    }

    /// Ends it with SIGKILL; answers all that it had said.
    #[track_caller]
    pub fn kill_for_last_words(mut self) -> String {
        self.child
            .kill()
            .expect("a child that was not waited for can be killed");
        self.end_in(WAIT_MAX);
        self.log()
    }

    #[track_caller]
    fn end_in(&mut self, wait: Duration) -> ExitStatus {
        let lines = self.output.wait_until(wait, Lines::is_over);
        assert!(
            lines.is_over(),
            "{} did not end in {wait:?}; {lines}",
            self.name
        );
        drop(lines);
        self.child
            .wait()
            .expect("a child that closed its outputs ends")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; nobody is left to care.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Default)]
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    said: Vec<String>,
    readers: usize,
}

impl Lines {
    /// Whether both outputs are closed: the process has ended, or is about to.
    fn is_over(&self) -> bool {
        self.readers == 0
    }
}

impl std::fmt::Display for Lines {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "it said:\n{}", self.said.join("\n"))
    }
}

impl Output {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().expect("nobody panics while holding it")
    }

    /// Reads a stream to its end, in a thread of its own.
    fn collect(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        self.lines().readers += 1;
        let output = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                output
                    .lines()
                    .said
                    .push(String::from_utf8_lossy(&line).into_owned());
                output.changed.notify_all();
            }
            output.lines().readers -= 1;
            output.changed.notify_all();
        });
    }

    /// The lines as they are once `done`, or once the time is over.
    fn wait_until(&self, wait: Duration, done: impl Fn(&Lines) -> bool) -> MutexGuard<'_, Lines> {
        let deadline = Instant::now() + wait;
        let mut lines = self.lines();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if done(&lines) || left.is_zero() {
                return lines;
            }
            (lines, _) = self
                .changed
                .wait_timeout(lines, left)
                .expect("nobody panics while holding it");
        }
    }
}
