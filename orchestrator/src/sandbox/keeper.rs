//! Who keeps a job together where no namespace does: a process of ours outside the walls that starts the shim, becomes
//! the parent of everything that loses its own, and ends all of it.
//!
//! Its standard input is the socket to whoever started it. When nobody is at its other end any more, the job is over.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, setsid, wait};

use super::proc;
use super::shim::{self, EXIT_FAILED, GO, READY, Walls};

/// The first argument of a process that is to be the keeper.
pub(super) const ARGUMENT: &str = "edvac-sandbox-keeper";
/// Between two rounds of killing, in which what was killed ends.
const ROUND: Duration = Duration::from_micros(500);

/// Runs a command behind the shim and gives its exit code when nothing of it is left.
pub(super) fn keep(command: impl Iterator<Item = OsString>) -> u8 {
    match kept(command) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("the sandbox does not hold: {why}");
            EXIT_FAILED
        }
    }
}

fn kept(command: impl Iterator<Item = OsString>) -> Result<u8, String> {
    let mut outer = UnixStream::from(
        rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map_err(|e| format!("the socket: {e}"))?,
    );
    let mut line = String::new();
    BufReader::new(&outer).read_line(&mut line).map_err(|e| format!("no word of what is allowed: {e}"))?;
    let mut walls: Walls =
        serde_json::from_str(&line).map_err(|e| format!("what is allowed is unclear: {e}"))?;
    // Not every terminal is left by it, but whoever leads a session already has none.
    let _ = setsid();
    set_child_subreaper(Some(rustix::process::getpid())).map_err(|e| format!("orphans: {e}"))?;
    let user = walls.user.unwrap_or_else(|| rustix::process::getuid().as_raw());
    // The kernel counts all of a user's processes, not those of a job.
    walls.processes_max += threads_of(user);
    let (mut inner, theirs) = UnixStream::pair().map_err(|e| e.to_string())?;
    // By this name it can be executed where its directory cannot be entered.
    let mut shim = Command::new("/proc/self/exe");
    shim.arg(shim::ARGUMENT).args(command).stdin(OwnedFd::from(theirs));
    if let Some(user) = walls.user {
        shim.uid(user).gid(user);
    }
    let child = shim.spawn().map_err(|e| format!("it cannot be started as another user: {e}"))?;
    drop(shim);
    let line = serde_json::to_string(&walls).map_err(|e| e.to_string())?;
    let mut word = [0; READY.len()];
    let ready = inner.write_all(format!("{line}\n").as_bytes()).and_then(|()| inner.read_exact(&mut word));
    if ready.is_ok() && word == *READY {
        outer.write_all(READY).map_err(|e| format!("nobody listens: {e}"))?;
        std::thread::spawn(move || relay(&outer, &inner));
    } else {
        let _ = outer.write_all(&word);
    }
    let code = until(child.id());
    end();
    Ok(code)
}

/// Passes on the word to begin; ends everything when nobody is there any more.
fn relay(mut outer: &UnixStream, mut inner: &UnixStream) {
    let mut word = [0; GO.len()];
    if outer.read_exact(&mut word).is_ok() {
        // The shim may have ended; then so has the job.
        let _ = inner.write_all(&word);
        let _ = outer.read(&mut word);
    }
    let _ = inner.shutdown(Shutdown::Both);
    loop {
        kill_all();
        std::thread::sleep(ROUND);
    }
}

/// The exit code of the process `first`; whoever else ends meanwhile is let go.
fn until(first: u32) -> u8 {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get().cast_unsigned() == first => {
                let signal = status.terminating_signal().map(|s| s + 128);
                return status.exit_status().or(signal).unwrap_or(0) as u8;
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return EXIT_FAILED,
        }
    }
}

/// Ends everything that descends from here. It is done when this process has no child any more: every orphan becomes
/// one.
fn end() {
    loop {
        kill_all();
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        std::thread::sleep(ROUND);
    }
}

fn kill_all() {
    let all: Vec<_> = proc::below(std::process::id().cast_signed(), usize::MAX)
        .into_iter()
        .filter_map(Pid::from_raw)
        .collect();
    // Stopped first, so that none starts another while its neighbour is killed.
    for signal in [Signal::STOP, Signal::KILL] {
        for &pid in &all {
            let _ = kill_process(pid, signal);
        }
    }
}

fn threads_of(user: u32) -> u64 {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let own = entries.filter(|e| e.metadata().is_ok_and(|m| m.uid() == user));
    let pids = own.filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter_map(proc::process).map(|p| u64::from(p.threads)).sum()
}
